"""A grid of jobs: what they are, who does which, and what they leave."""
