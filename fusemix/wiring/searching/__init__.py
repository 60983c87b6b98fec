"""An index, wired: what goes into it, and how it is searched."""
