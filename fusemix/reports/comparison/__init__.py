"""What people read of several runs side by side."""
