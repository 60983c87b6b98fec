"""Contrastive losses. One file each; a factory returns something that meets `interfaces.PairLoss`."""

from fusemix.parts.registry import Registry

LOSSES = Registry(
    "loss",
    {
        "info_nce": "fusemix.fusion.losses.info_nce:InfoNCE",
        "sigmoid": "fusemix.fusion.losses.sigmoid:SigmoidLoss",
    },
)
