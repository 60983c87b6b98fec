"""Regression: an item is brought to the very place that its partner has, in a space that stays as it is.

Place in the flow: embeddings of both sides -> a scalar that is added to the contrastive loss.
Not here: how long vectors of that space are (wiring/training/lengths.py). A contrastive loss is content where a partner
is nearer than all others; what is drawn from an embedding has to be where the partner is.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from fusemix.fusion.losses.tiles import full_precision, partners_of


def mean_squared_distance(left: Float[Tensor, "rows dim"], right: Float[Tensor, "columns dim"]) -> Float[Tensor, ""]:
    """Mean over pairs of the squared distance of partners, 2 (1 - cosine).

    Args:
        left: of own rows of the batch, unit length.
        right: `positives` blocks as long as `left`; row i of each block belongs to item i.

    Returns:
        From 0 to 4; this process's part, whose mean over processes is that of the batch.

    Raises:
        ValueError: the right side is no multiple of the left one.
    """
    positives = partners_of(left, right).positives
    with torch.autocast(left.device.type, enabled=False):
        one, other = full_precision(left, right)
        return 2 - 2 * (one * other.unflatten(0, (positives, -1))).sum(dim=-1).mean()
