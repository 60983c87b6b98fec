"""Encoders compared before training: what is drawn from a latent set, and every score of every pair of stores."""
