"""An index that is kept on disk, added to and searched; it knows vectors and items, and nothing of models."""
