"""What people read of generated pictures that were judged."""
