"""Models that travel: a folder that holds all that is needed to load a trained model elsewhere.

Place in the flow: run folder -> travel -> exported folder or hub -> trained.py opens it.
"""
