"""Parts that settings name (encoders, data sets, losses, adapters, …): found, checked, trusted, called."""
