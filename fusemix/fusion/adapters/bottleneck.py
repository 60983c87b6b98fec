"""Residual blocks behind a narrow linear map: a fraction of the paper's parameters."""

from torch import nn

from fusemix.fusion.adapters import MOST_BLOCKS, MOST_WIDTH
from fusemix.fusion.adapters.dropout import Dropout
from fusemix.fusion.adapters.residual_mlp import ResidualBlock
from fusemix.parts.ranges import share, within


def bottleneck(
    *,
    input_dim: int,
    output_dim: int,
    hidden_dim: int = 512,
    num_blocks: int = 1,
    expansion: int = 2,
    dropout: float = 0.3,
    input_dropout: float = 0.0,
) -> nn.Module:
    """A linear map to `hidden_dim`, residual blocks there, then a norm and a linear map.

    The blocks are those of arXiv:2312.10144; what differs is that they work on a narrow projection of the latents, not
    on the latents themselves. See docs/recipes.md for what it is worth.

    Args:
        input_dim: width of the latents.
        output_dim: width of the shared space.
        hidden_dim: width of the blocks.
        num_blocks: residual blocks.
        expansion: hidden width of a block, in multiples of `hidden_dim`.
        dropout: share of hidden units dropped in a block, in [0, 1).
        input_dropout: share of the latents' numbers dropped, in [0, 1).

    Raises:
        ConfigError: an option is out of its range.
    """
    within("adapter.options.hidden_dim", hidden_dim, 1, MOST_WIDTH)
    within("adapter.options.num_blocks", num_blocks, 0, MOST_BLOCKS)
    within("adapter.options.expansion", expansion, 1, MOST_WIDTH)
    share("adapter.options.dropout", dropout)
    share("adapter.options.input_dropout", input_dropout)
    blocks = [ResidualBlock(hidden_dim, expansion, dropout) for _ in range(num_blocks)]
    head = [nn.LayerNorm(hidden_dim), nn.Linear(hidden_dim, output_dim)]
    return nn.Sequential(Dropout(input_dropout), nn.Linear(input_dim, hidden_dim), *blocks, *head)
