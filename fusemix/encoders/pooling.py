"""From many token states to one vector.

Place in the flow: a model's hidden states -> latents.
Not here: a model's own pooled output, which needs no arithmetic.

Axes: batch, tokens, width.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from fusemix.errors import EncoderError

RULES = 1
"""Number of the rules of `pool_tokens`; raised whenever the vector of some states changes."""
POOLINGS = ("cls", "mean", "cls+mean", "last_token", "pooler")


def check_pooling(pooling: str) -> None:
    """Refuse an unknown pooling.

    Raises:
        EncoderError: it is none of the five.
    """
    if pooling not in POOLINGS:
        raise EncoderError(f"pooling is {pooling!r}, but must be one of: {', '.join(POOLINGS)}.")


def pool_tokens(
    states: Float[Tensor, "batch tokens width"],
    mask: Bool[Tensor, "batch tokens"],
    pooling: str,
    *,
    num_prefix: int,
    has_cls: bool,
) -> Float[Tensor, "batch pooled"]:
    """Pool token states, in float32.

    Args:
        states: of the last or of a chosen layer.
        mask: true where a token is real; padding is left out.
        pooling: `cls` (first token), `mean` (real tokens after the prefix), `cls+mean` (both,
            concatenated), `last_token` (last real one).
        num_prefix: leading tokens that stand for no part of the content (class and register tokens)
            and that a mean leaves out. For text 0: there the class token counts, as its models were trained.
        has_cls: whether the first token is a class token.

    Returns:
        (batch, width), or (batch, 2 * width) for `cls+mean`.

    Raises:
        EncoderError: the model has no such token.
    """
    if pooling in ("cls", "cls+mean") and not has_cls:
        raise EncoderError(f"pooling={pooling}: this model has no class token. Use pooling=mean or pooling=pooler.")
    if pooling in ("mean", "cls+mean") and states.shape[1] <= num_prefix:
        raise EncoderError(f"pooling={pooling}: this model gives its class token alone. Use pooling=cls or pooler.")
    if pooling == "cls":
        return own_memory(states[:, 0].float())
    if pooling == "last_token":
        last = mask.shape[1] - 1 - mask.flip(1).int().argmax(dim=1)
        return states[torch.arange(len(states), device=states.device), last].float()
    states = states.float()
    weight = mask[:, num_prefix:, None].float()
    mean = (states[:, num_prefix:] * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1)
    return torch.cat([states[:, 0], mean], dim=1) if pooling == "cls+mean" else mean


def own_memory(latents: Float[Tensor, "rows width"]) -> Float[Tensor, "rows width"]:
    """The same latents in memory of their own: a view would keep all states of its batch as long as it is kept."""
    is_view = latents.untyped_storage().nbytes() > latents.numel() * latents.element_size()
    return latents.clone(memory_format=torch.contiguous_format) if is_view else latents
