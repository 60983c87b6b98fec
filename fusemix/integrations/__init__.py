"""A trained run as a model of other packages. One file a package, imported by name where it is wanted.

Place in the flow: models.embedder.Embedder -> what the other package asks of a model.
"""
