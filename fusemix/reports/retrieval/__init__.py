"""What people read of one run's retrieval, but for the page."""
