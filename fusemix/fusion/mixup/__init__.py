"""Latent augmentation: what is done to a batch of latents before the adapters see it.

Place in the flow: LatentBatch -> augmented LatentBatch -> adapters.
A factory is called as `factory(**options)` and returns an `Augmentation` (variants.py).
"""

from fusemix.parts.registry import Registry

MIXUPS = Registry(
    "mixup",
    {
        "none": "fusemix.fusion.mixup.variants:none",
        "per_batch": "fusemix.fusion.mixup.variants:per_batch",
        "per_pair": "fusemix.fusion.mixup.variants:per_pair",
        "separate": "fusemix.fusion.mixup.variants:separate",
        "one_sided": "fusemix.fusion.mixup.variants:one_sided",
        "noise": "fusemix.fusion.mixup.variants:noise",
    },
)
