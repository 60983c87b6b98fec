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
from fusemix.retrieval.metrics import flat, measure, with_sums
from fusemix.retrieval.tiles import ALONE, Share


def retrieval_scorer(gallery: Gallery | None, modalities: tuple[str, str], *, shared: bool = False) -> Scorer | None:
    """Recall of both directions and their mean, by the code that evaluation uses.

    Args:
        gallery: that embeddings are of, in its order.
        modalities: of its sides.
        shared: processes that have the same embeddings divide the work; each of them has to come here.
    """
    if gallery is None:
        return None
    links, smallest = gallery.links, min(len(rows) for rows in gallery.rows)
    ks = [k for k in (1, 5, 10) if k <= smallest]

    def score(left: Float[Tensor, "left dim"], right: Float[Tensor, "right dim"]) -> dict[str, float]:
        share = _share_of_work(left.device) if shared else ALONE
        directions = measure(left, right, links, modalities, ks, share=share)
        return with_sums(flat(directions))

    return score


def _share_of_work(device: torch.device) -> Share:
    def total(counts: Int64[np.ndarray, "..."]) -> Int64[np.ndarray, "..."]:
        return added_up(torch.from_numpy(counts.copy()).to(device)).cpu().numpy()

    return Share(own_rank(), num_processes(), total)
