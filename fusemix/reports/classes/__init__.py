"""What people read of a classification by prompts."""
