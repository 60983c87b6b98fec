"""Choosing pairs of a latent set: candidates -> methods of fusemix/selection -> links of a subset."""
