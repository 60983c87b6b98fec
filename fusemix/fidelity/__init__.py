"""How near generated pictures are to real ones: distances of their features, and whose neighbours they are."""
