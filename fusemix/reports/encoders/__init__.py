"""What people read of encoders that were compared before training."""
