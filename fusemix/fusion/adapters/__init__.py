"""Adapters: small trainable maps from a modality's latents to the shared space. One file each.

Place in the flow: prepared latents -> adapter -> (batch, embedding_dim), before it is brought to unit length.
"""

from fusemix.errors import ConfigError
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
        "identity": "fusemix.fusion.adapters.identity:Identity",
        "aligned_residual": "fusemix.fusion.adapters.aligned_residual:AlignedResidual",
    },
    given=["input_dim", "output_dim"],
)
IDENTITY = "identity"
KEEP_WIDTH = (IDENTITY, "aligned_residual")
"""Adapters whose embeddings are as wide as their latents: for sides that share a space already."""


def require_one_width(name: str, input_dim: int, output_dim: int) -> None:
    """Refuse an adapter that would have to change the width.

    Raises:
        ConfigError: the widths differ.
    """
    if input_dim != output_dim:
        raise ConfigError(
            f"adapter {name!r} keeps the width of latents, which are {input_dim:,} wide, and the shared space is "
            f"{output_dim:,} wide. Both sides have to share a width: set embedding_dim={input_dim}, or give another "
            "adapter."
        )
