"""Training on latents: mixup, adapters, losses, and the LightningModule that joins them."""
