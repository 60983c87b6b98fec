"""The paper's adapter: residual blocks at the width of the latents, then a linear map."""

from jaxtyping import Float
from torch import Tensor, nn

from fusemix.fusion.adapters import MOST_BLOCKS, MOST_WIDTH
from fusemix.fusion.adapters.dropout import Dropout
from fusemix.parts.ranges import share, within


def residual_mlp(
    *, input_dim: int, output_dim: int, num_blocks: int = 4, expansion: int = 4, dropout: float = 0.6
) -> nn.Module:
    """Residual inverted-bottleneck blocks, then a norm and a linear map.

    Source: arXiv:2312.10144 and its authors' released configuration (4 blocks, expansion 4, dropout 0.6).

    Args:
        input_dim: width of the latents.
        output_dim: width of the shared space.
        num_blocks: residual blocks; 0 leaves a norm and a linear map.
        expansion: hidden width of a block, in multiples of `input_dim`.
        dropout: share of hidden units dropped in a block, in [0, 1).

    Raises:
        ConfigError: an option is out of its range.
    """
    within("adapter.options.num_blocks", num_blocks, 0, MOST_BLOCKS)
    within("adapter.options.expansion", expansion, 1, MOST_WIDTH)
    share("adapter.options.dropout", dropout)
    blocks = [ResidualBlock(input_dim, expansion, dropout) for _ in range(num_blocks)]
    return nn.Sequential(*blocks, nn.LayerNorm(input_dim), nn.Linear(input_dim, output_dim))


class ResidualBlock(nn.Module):
    """x + W2 · dropout(GELU(W1 · LN(x)))."""

    def __init__(self, dim: int, expansion: int, dropout: float) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            nn.LayerNorm(dim),
            nn.Linear(dim, expansion * dim),
            nn.GELU(),
            Dropout(dropout),
            nn.Linear(expansion * dim, dim),
        )

    def forward(self, latents: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch dim"]:
        """Add the branch to its input."""
        return latents + self.branch(latents)
