"""Stage 1, wired: what makes latents, takes them in, and hands them over."""
