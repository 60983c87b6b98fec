"""A linear map of one side near the identity, in closed form: the other side stays as it is.

Place in the flow: canonical maps of both sides -> a map of one side, which an adapter adds to the identity.
"""

from jaxtyping import Float
from torch import Tensor

from fusemix.fusion.closed_form import LinearMap


def of_one_side(own: LinearMap, other: LinearMap) -> LinearMap:
    """The map after which inner products with the other side's latents are those of both maps.

    With maps A and B, (A x + a) · B y = Bᵀ (A x + a) · y: all is done to x, and y stays as it is. Adding r x to that is
    a ridge towards the identity: r = 0 gives the plain form, and ever more r the identity.

    Args:
        own: map of the side that moves.
        other: map of the side that stays; its bias, which moves all inner products of an x alike, is left out.
    """
    return LinearMap(other.weight.T @ own.weight, other.weight.T @ own.bias)


def of_one_length(found: LinearMap, latents: Float[Tensor, "rows dim"]) -> LinearMap:
    """The same, scaled so that what it makes of latents is as long as these, on the root of the mean square."""
    made = latents @ found.weight.T + found.bias
    factor = (latents.square().sum() / made.square().sum()).sqrt()
    return LinearMap(factor * found.weight, factor * found.bias)
