"""One linear map: the least adapter, and the one that closed-form methods fit."""

from jaxtyping import Float
from torch import Tensor, nn

from fusemix.fusion.adapters.affine import set_affine
from fusemix.fusion.adapters.dropout import Dropout
from fusemix.parts.ranges import share


class Linear(nn.Module):
    """A linear map with bias.

    Args:
        input_dim: width of the latents.
        output_dim: width of the shared space.
        input_dropout: share of the latents' numbers dropped, in [0, 1).

    Raises:
        ConfigError: it is not.
    """

    def __init__(self, *, input_dim: int, output_dim: int, input_dropout: float = 0.0) -> None:
        super().__init__()
        share("adapter.options.input_dropout", input_dropout)
        self.dropout = Dropout(input_dropout)
        self.linear = nn.Linear(input_dim, output_dim)

    def forward(self, latents: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch output_dim"]:
        """Map."""
        return self.linear(self.dropout(latents))

    def start_from(self, weight: Float[Tensor, "output_dim dim"], bias: Float[Tensor, " output_dim"]) -> None:
        """Become this map."""
        set_affine(self.linear, weight, bias)
