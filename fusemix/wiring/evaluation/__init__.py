"""Stage 3, wired: what is measured, what it is compared with, and what is shown of it."""
