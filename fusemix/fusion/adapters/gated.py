"""Gated adapter: the product of two linear branches, one of which is a gate."""

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from fusemix.fusion.adapters import MOST_WIDTH
from fusemix.fusion.adapters.dropout import Dropout
from fusemix.parts.ranges import share, within


class Gated(nn.Module):
    """W3 · (ReLU6(W1 · LN(x)) ⊙ W2 · LN(x)).

    Source: the two-branch gated linear unit of SAIL, arXiv:2412.04616, with its expansion of 8 and its ReLU6.

    Args:
        input_dim: width of the latents.
        output_dim: width of the shared space.
        expansion: width of a branch, in multiples of `input_dim`.
        dropout: share of the product's units dropped, in [0, 1).

    Raises:
        ConfigError: an option is out of its range.
    """

    def __init__(self, *, input_dim: int, output_dim: int, expansion: int = 8, dropout: float = 0.0) -> None:
        super().__init__()
        within("adapter.options.expansion", expansion, 1, MOST_WIDTH)
        share("adapter.options.dropout", dropout)
        hidden_dim = expansion * input_dim
        self.norm = nn.LayerNorm(input_dim)
        self.gate = nn.Linear(input_dim, hidden_dim)
        self.value = nn.Linear(input_dim, hidden_dim)
        self.dropout = Dropout(dropout)
        self.out = nn.Linear(hidden_dim, output_dim)

    def forward(self, latents: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch output_dim"]:
        """Gate and map."""
        normed = self.norm(latents)
        return self.out(self.dropout(F.relu6(self.gate(normed)) * self.value(normed)))
