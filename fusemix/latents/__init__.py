"""Latents on disk: sealed stores of shards, the sets that hold them, and batches out of them."""
