"""How alike two encoders see the same pairs, before anything is trained: numbers of latents alone."""
