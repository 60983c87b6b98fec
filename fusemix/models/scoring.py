"""How the epochs of a run are measured, to choose the best one.

Place in the flow: Gallery -> a function of embeddings -> figures, for fusion/module.py.
"""

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from fusemix.fusion.gathering import num_processes, own_rank
from fusemix.interfaces import Scorer
from fusemix.latents.galleries import Gallery
from fusemix.machine.parallel import added_up
from fusemix.retrieval.metrics import Direction, flat, measure, with_sums
from fusemix.retrieval.tiles import ALONE, Share

KS = (1, 5, 10)
"""Depths of recall, as far as both sides have so many items."""


def retrieval_scorer(gallery: Gallery | None, modalities: tuple[str, str], *, shared: bool = False) -> Scorer | None:
    """Recall of both directions and their mean, by the code that evaluation uses.

    Args:
        gallery: that embeddings are of, in its order.
        modalities: of its sides.
        shared: processes that have the same embeddings divide the work; each of them has to come here.
    """
    if gallery is None:
        return None

    def score(left: Float[Tensor, "left dim"], right: Float[Tensor, "right dim"]) -> dict[str, float]:
        share = _share_of_work(left.device) if shared else ALONE
        return with_sums(flat(measured(gallery, modalities, left, right, share)))

    return score


def measured(
    gallery: Gallery,
    modalities: tuple[str, str],
    left: Float[Tensor, "left dim"],
    right: Float[Tensor, "right dim"],
    share: Share = ALONE,
) -> tuple[Direction, Direction]:
    """Both directions, left to right first, at the depths that an epoch is chosen by.

    Args:
        gallery: that embeddings are of, in its order.
        modalities: of its sides.
        left, right: embeddings.
        share: of the work that is this process's.
    """
    smallest = min(len(rows) for rows in gallery.rows)
    return measure(left, right, gallery.links, modalities, [k for k in KS if k <= smallest], share=share)


def _share_of_work(device: torch.device) -> Share:
    def total(counts: Int64[np.ndarray, "..."]) -> Int64[np.ndarray, "..."]:
        return added_up(torch.from_numpy(counts.copy()).to(device)).cpu().numpy()

    return Share(own_rank(), num_processes(), total)
