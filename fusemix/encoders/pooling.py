"""From many token states to one vector.

Place in the flow: a model's hidden states -> latents.
Not here: a model's own pooled output, which needs no arithmetic.

Axes: batch, tokens, width.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from fusemix.errors import EncoderError

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
    states = states.float()
    if pooling in ("cls", "cls+mean") and not has_cls:
        raise EncoderError(f"pooling={pooling}: this model has no class token. Use pooling=mean or pooling=pooler.")
    if pooling == "cls":
        return states[:, 0]
    if pooling == "last_token":
        last = mask.shape[1] - 1 - mask.flip(1).int().argmax(dim=1)
        return states[torch.arange(len(states), device=states.device), last]
    weight = mask[:, num_prefix:, None].float()
    mean = (states[:, num_prefix:] * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1)
    return torch.cat([states[:, 0], mean], dim=1) if pooling == "cls+mean" else mean
