"""Stage 2, wired: what a run is trained on, from what it starts, and at which pace."""
