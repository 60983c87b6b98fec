"""No adapter: latents stay as they are, where they share a space already."""

from jaxtyping import Float
from torch import Tensor, nn

from fusemix.fusion.adapters import require_one_width


class Identity(nn.Module):
    """Leave latents as they are; nothing is trained.

    Where the other side trains, this one stays where it is: vectors that were made of it stay valid.

    Args:
        input_dim: width of the latents.
        output_dim: width of the shared space, which must be the same.

    Raises:
        ConfigError: it is not.
    """

    def __init__(self, *, input_dim: int, output_dim: int) -> None:
        super().__init__()
        require_one_width("identity", input_dim, output_dim)

    def forward(self, latents: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch dim"]:
        """Pass them on."""
        return latents
