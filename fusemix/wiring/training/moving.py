"""How far a model is moved away from a space that its latents share already: chosen on validation, nothing included.

Place in the flow: model of the best epoch, LatentData -> the model whose recall on validation is highest, among ones
between what the latents give alone (zero-shot) and what was trained, with shares of the closed form beside.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from fusemix.config import TrainConfig
from fusemix.fusion.adapters.aligned_residual import AlignedResidual
from fusemix.fusion.model import FusionModel
from fusemix.fusion.stretches import without_gradient
from fusemix.latents.galleries import SideItems
from fusemix.latents.loader import LatentData
from fusemix.models.scoring import retrieval_scorer
from fusemix.wiring.training.aligned import is_aligned

RESIDUALS = (0.0, 0.125, 0.25, 0.5, 0.75, 1.0)
SHARES = (0.0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
ROUNDS = 2
"""In which one of both is chosen after the other."""


class Move(NamedTuple):
    """How far to move.

    Attributes:
        residual: of what was trained, in [0, 1].
        share: of each cosine that is the closed form's, in [0, 1).
    """

    residual: float
    share: float


NOWHERE = Move(0.0, 0.0)


class _Side(NamedTuple):
    """Items of one side: where they start, what training adds to them, and what the closed form makes of them."""

    start: Float[Tensor, "items dim"]
    added: Float[Tensor, "items dim"]
    fixed: Float[Tensor, "items width"] | None

    def moved(self, move: Move) -> Float[Tensor, "items either"]:
        own = F.normalize(self.start + move.residual * self.added, dim=1)
        if self.fixed is None or not move.share:
            return own
        return torch.cat([(1 - move.share) ** 0.5 * own, move.share**0.5 * self.fixed], dim=1)


def move(model: FusionModel, config: TrainConfig, data: LatentData) -> tuple[dict[str, Any], list[str]]:
    """Move a model as far as validation says, where its sides share a space to begin with.

    Returns:
        Facts for the checkpoint, and lines for people.
    """
    if not is_aligned(config):
        return {}, []
    with torch.inference_mode():
        recall = _recall(model, data)
        shares = SHARES if model.beside else (0.0,)
        chosen, found = chosen_move(recall, Move(1.0, model.share), shares)
        zero_shot = recall(NOWHERE)
    for adapter in model.adapters.values():
        if isinstance(adapter, AlignedResidual):
            adapter.scale(chosen.residual)
    model.set_share(chosen.share)
    facts = {"share": chosen.share, "residual": chosen.residual, "mean_recall": found, "zero_shot": zero_shot}
    return facts, [_told(chosen, found, zero_shot)]


def _told(chosen: Move, found: float, zero_shot: float) -> str:
    if chosen == NOWHERE:
        return f"validation says to stay where the latents are: nothing beats their mean recall of {zero_shot:.1%}"
    return (
        f"validation says to move by {chosen.residual:.0%} of what was trained, and to take {chosen.share:.0%} of each "
        f"cosine from the closed form: mean recall {found:.1%}, zero-shot {zero_shot:.1%}"
    )


def chosen_move(recall: Callable[[Move], float], trained: Move, shares: Sequence[float] = SHARES) -> tuple[Move, float]:
    """The best move of those that are tried, and its recall; of equal ones the shortest.

    Args:
        recall: of a move.
        trained: what a model has come to.
        shares: of the closed form, that are tried.
    """
    seen = {one: recall(one) for one in (NOWHERE, trained)}

    def best() -> Move:
        return max(seen, key=lambda one: (seen[one], -one.share - one.residual))

    for _ in range(ROUNDS):
        for line in (_residuals, partial(_shares, shares)):
            for one in line(best()):
                if one not in seen:
                    seen[one] = recall(one)
    return best(), seen[best()]


def _residuals(at: Move) -> list[Move]:
    return [at._replace(residual=residual) for residual in RESIDUALS]


def _shares(shares: Sequence[float], at: Move) -> list[Move]:
    return [at._replace(share=share) for share in shares]


def _recall(model: FusionModel, data: LatentData) -> Callable[[Move], float]:
    """Mean recall on validation after a move, over all sets that are validated."""
    sets = []
    for one in data.training_sets:
        scorer = retrieval_scorer(one.gallery, one.modalities)
        if one.gallery is not None and scorer is not None:
            sets.append((scorer, [_side(model, items) for items in one.gallery.of(one.validation)]))

    def recall(after: Move) -> float:
        found = [scorer(*(side.moved(after) for side in sides))["mean_recall"] for scorer, sides in sets]
        return sum(found) / len(found)

    return recall


def _side(model: FusionModel, items: SideItems) -> _Side:
    adapter = model.adapters[items.modality]
    scale = model.log_logit_scale  # of the model's device and dtype
    start = model.prepare(items.modality, torch.from_numpy(items.latents()).to(scale.device)).to(scale.dtype)
    added = without_gradient(adapter, start) - start
    return _Side(start, added, model.fixed(items.modality, start) if model.beside else None)
