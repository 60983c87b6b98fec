"""What drawing pictures from embeddings is made of: the pipelines of diffusers, and what they are given."""
