"""A trained run as a folder that holds all that is needed to load it elsewhere."""
