"""Latents as they are, plus a residual that starts shut: for two sides that share a space already."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fusemix.fusion.adapters import MOST_WIDTH, require_one_width
from fusemix.fusion.adapters.dropout import Dropout
from fusemix.parts.ranges import share, within


class AlignedResidual(nn.Module):
    """x + gate · W2 · dropout(GELU(W1 · LN(dropout(x)))) [+ lean · (W x + b)], with a gate that starts at zero.

    At the start it is the identity, so that two sides which share a space go on from there. The residual looks at
    latents with dropout; what it is added to has none. Gate and lean can be set to less after training, to nothing if
    need be: see wiring/training/moving.py.

    Args:
        input_dim: width of the latents.
        output_dim: width of the shared space, which must be the same.
        hidden_dim: width of the residual.
        dropout: share of the residual's hidden units dropped, in [0, 1).
        input_dropout: share of the numbers dropped that the residual sees, in [0, 1).
        linear: whether a fixed linear map is added, too, which the closed form gives; for one side, where the other
            one stays as it is.

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
        linear: bool = False,
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
        self.has_linear = linear
        self.weight: Tensor
        self.bias: Tensor
        self.lean: Tensor
        if linear:
            for name, shape in (("weight", (output_dim, input_dim)), ("bias", (output_dim,)), ("lean", ())):
                self.register_buffer(name, torch.zeros(shape))

    def take_linear(self, weight: Float[Tensor, "dim dim"], bias: Float[Tensor, " dim"]) -> None:
        """Give the linear map that is added, as much as `move` says."""
        self.weight.copy_(weight)
        self.bias.copy_(bias)

    def move(self, residual: float, linear: float) -> None:
        """Go a share of the way to what was trained, and add as many times the linear map."""
        with torch.no_grad():
            self.gate *= residual
            if self.has_linear:
                self.lean.fill_(linear)

    def bent(self, latents: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch dim"]:
        """What was trained, and is added."""
        return self.gate * self.residual(latents)

    def linear(self, latents: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch dim"]:
        """What the linear map makes of latents."""
        return nn.functional.linear(latents, self.weight, self.bias)

    def forward(self, latents: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch dim"]:
        """Add what was learned."""
        found = latents + self.bent(latents)
        return found + self.lean * self.linear(latents) if self.has_linear else found
