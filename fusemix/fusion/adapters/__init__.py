"""Adapters: small trainable maps from a modality's latents to the shared space. One file each.

Place in the flow: prepared latents -> adapter -> (batch, embedding_dim), before it is brought to unit length.
"""

from fusemix.parts.registry import Registry

MOST_WIDTH = 1 << 20
"""Of a layer: more is a slip of the hand."""
MOST_BLOCKS = 1000
"""Of an adapter."""
ADAPTERS = Registry(
    "adapter",
    {
        "residual_mlp": "fusemix.fusion.adapters.residual_mlp:residual_mlp",
        "bottleneck": "fusemix.fusion.adapters.bottleneck:bottleneck",
        "gated": "fusemix.fusion.adapters.gated:Gated",
        "linear": "fusemix.fusion.adapters.linear:Linear",
        "low_rank_residual": "fusemix.fusion.adapters.low_rank_residual:LowRankResidual",
    },
    given=["input_dim", "output_dim"],
)
