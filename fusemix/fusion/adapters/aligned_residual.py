"""Latents as they are, plus a residual that starts shut: for two sides that share a space already."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fusemix.fusion.adapters import MOST_WIDTH, require_one_width
from fusemix.fusion.adapters.dropout import Dropout
from fusemix.parts.ranges import share, within


class AlignedResidual(nn.Module):
    """x + gate · W2 · dropout(GELU(W1 · LN(dropout(x)))), with a gate that starts at zero.

    At the start it is the identity, so that two sides which share a space go on from there. The residual looks at
    latents with dropout; what it is added to has none. What the gate has come to can be scaled down after training,
    to nothing if need be: see wiring/training/moving.py.

    Args:
        input_dim: width of the latents.
        output_dim: width of the shared space, which must be the same.
        hidden_dim: width of the residual.
        dropout: share of the residual's hidden units dropped, in [0, 1).
        input_dropout: share of the numbers dropped that the residual sees, in [0, 1).

    Raises:
        ConfigError: the widths differ, or an option is out of its range.
    """

    def __init__(
        self,
        *,
        input_dim: int,
        output_dim: int,
        hidden_dim: int = 512,
        dropout: float = 0.3,
        input_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        require_one_width("aligned_residual", input_dim, output_dim)
        within("adapter.options.hidden_dim", hidden_dim, 1, MOST_WIDTH)
        share("adapter.options.dropout", dropout)
        share("adapter.options.input_dropout", input_dropout)
        self.residual = nn.Sequential(
            Dropout(input_dropout),
            nn.LayerNorm(input_dim),
            nn.Linear(input_dim, hidden_dim),
            nn.GELU(),
            Dropout(dropout),
            nn.Linear(hidden_dim, output_dim),
        )
        self.gate = nn.Parameter(torch.zeros(()))

    def scale(self, factor: float) -> None:
        """Go this share of the way from the identity to what was trained."""
        with torch.no_grad():
            self.gate *= factor

    def forward(self, latents: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch dim"]:
        """Add what was learned."""
        return latents + self.gate * self.residual(latents)
