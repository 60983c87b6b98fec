"""What people run: one file a command, each a table of contents of what it does."""
