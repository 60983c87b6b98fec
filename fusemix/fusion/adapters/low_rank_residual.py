"""Linear map plus a gated low-rank residual: near linear at the start, for few pairs."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fusemix.fusion.adapters import MOST_WIDTH
from fusemix.fusion.adapters.affine import set_affine
from fusemix.fusion.adapters.dropout import Dropout
from fusemix.parts.ranges import share, within


class LowRankResidual(nn.Module):
    """W · x + tanh(gate) · V · dropout(GELU(U · x)), with U and V of low rank and a gate that starts at zero.

    Source: the "MLP" adapter of STRUCTURE, arXiv:2506.16895 (a linear map that starts orthogonal, plus a residual of
    rank 64 behind a gate that starts at zero).

    Args:
        input_dim: width of the latents.
        output_dim: width of the shared space.
        rank: of the residual.
        dropout: share of the residual's hidden units dropped, in [0, 1).
        input_dropout: share of the latents' numbers dropped, in [0, 1).

    Raises:
        ConfigError: an option is out of its range.
    """

    def __init__(
        self, *, input_dim: int, output_dim: int, rank: int = 64, dropout: float = 0.0, input_dropout: float = 0.0
    ) -> None:
        super().__init__()
        within("adapter.options.rank", rank, 1, MOST_WIDTH)
        share("adapter.options.dropout", dropout)
        share("adapter.options.input_dropout", input_dropout)
        self.input_dropout = Dropout(input_dropout)
        self.linear = nn.Linear(input_dim, output_dim)
        nn.init.orthogonal_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)
        self.residual = nn.Sequential(
            nn.Linear(input_dim, rank), nn.GELU(), Dropout(dropout), nn.Linear(rank, output_dim)
        )
        self.gate = nn.Parameter(torch.zeros(()))

    def forward(self, latents: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch output_dim"]:
        """Map, and bend a little."""
        latents = self.input_dropout(latents)
        return self.linear(latents) + self.gate.tanh() * self.residual(latents)

    def start_from(self, weight: Float[Tensor, "output_dim dim"], bias: Float[Tensor, " output_dim"]) -> None:
        """Become this map, with the residual still shut."""
        set_affine(self.linear, weight, bias)
        nn.init.zeros_(self.gate)
