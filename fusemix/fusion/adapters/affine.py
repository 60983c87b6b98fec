"""Adapters that hold a linear map, and can start from one that was found in closed form.

Place in the flow: closed_form.py -> an adapter's weights.
"""

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn


@runtime_checkable
class StartsLinear(Protocol):
    """An adapter that can become a given linear map."""

    def start_from(self, weight: Float[Tensor, "output_dim dim"], bias: Float[Tensor, " output_dim"]) -> None:
        """Become this map."""
        ...


def set_affine(linear: nn.Linear, weight: Float[Tensor, "rows dim"], bias: Float[Tensor, " rows"]) -> None:
    """Set a layer's weights; rows that the map lacks become zero.

    Raises:
        ValueError: the map is wider than the layer.
    """
    if len(weight) > linear.out_features:
        raise ValueError(f"a map to {len(weight)} dimensions does not fit into {linear.out_features}")
    with torch.no_grad():
        linear.weight.zero_()
        linear.bias.zero_()
        linear.weight[: len(weight)] = weight
        linear.bias[: len(bias)] = bias
