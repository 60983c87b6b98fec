"""How far a model is moved away from a space that its latents share already: chosen on validation, nothing included.

Place in the flow: model of the best epoch, LatentData -> the model whose recall on validation is highest, among ones
between what the latents give alone (zero-shot) and what was trained, with shares of the closed form beside.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from fusemix.config import TrainConfig
from fusemix.fusion.adapters.aligned_residual import AlignedResidual
from fusemix.fusion.checkpoints import MEAN_RECALL
from fusemix.fusion.model import FusionModel, side_by_side
from fusemix.fusion.stretches import without_gradient
from fusemix.latents.galleries import SideItems
from fusemix.latents.loader import LatentData
from fusemix.latents.training_sets import TrainingSet
from fusemix.models.scoring import retrieval_scorer
from fusemix.wiring.training.aligned import is_aligned, leaning

ROUNDS = 2
"""In which one of a move's numbers is chosen after the other."""


class Move(NamedTuple):
    """How far to move.

    Attributes:
        residual: of what was trained, in [0, 1].
        linear: times the linear map that is added to the identity; see `aligned_residual`.
        share: of each cosine that the closed form beside the adapters gives, in [0, 1].
    """

    residual: float = 0.0
    linear: float = 0.0
    share: float = 0.0


NOWHERE = Move()
TRIED: dict[str, tuple[float, ...]] = {
    "residual": (0.0, 0.125, 0.25, 0.5, 0.75, 1.0),
    "linear": (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 4.0, 10.0),
    "share": (0.0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0),
}


class _Side(NamedTuple):
    """Items of one side: where they start, and what each of a move's numbers adds to that."""

    start: Float[Tensor, "items dim"]
    trained: Float[Tensor, "items dim"]
    linear: Float[Tensor, "items dim"] | None
    beside: Float[Tensor, "items width"] | None

    def moved(self, move: Move) -> Float[Tensor, "items either"]:
        own = self.start + move.residual * self.trained
        if self.linear is not None:
            own = own + move.linear * self.linear
        own = F.normalize(own, dim=1)
        if self.beside is None or not move.share:
            return own
        return side_by_side(own, self.beside, move.share)


def move(model: FusionModel, config: TrainConfig, data: LatentData) -> tuple[dict[str, Any], list[str]]:
    """Move a model as far as validation says, where its sides share a space to begin with.

    Returns:
        Facts for the checkpoint, and lines for people.
    """
    if not is_aligned(config):
        return {}, []
    with torch.inference_mode():
        recall = recall_after(model, data.training_sets)
        lean = next((float(adapter.lean) for adapter in leaning(model)), 0.0)
        chosen, found = chosen_move(recall, Move(1.0, lean, model.share), free_in(model))
        zero_shot = recall(NOWHERE)
    apply(model, chosen)
    facts = {"share": chosen.share, "moved": chosen._asdict(), MEAN_RECALL: found, "zero_shot": zero_shot}
    return facts, [_told(chosen, found, zero_shot)]


def apply(model: FusionModel, chosen: Move) -> None:
    """Move a model that was trained."""
    for adapter in model.adapters.values():
        if isinstance(adapter, AlignedResidual):
            adapter.move(chosen.residual, chosen.linear)
    model.set_share(chosen.share)


def free_in(model: FusionModel) -> list[str]:
    """Which numbers of a move change a model."""
    found = {
        "residual": any(isinstance(adapter, AlignedResidual) for adapter in model.adapters.values()),
        "linear": bool(leaning(model)),
        "share": bool(model.beside),
    }
    return [name for name, is_free in found.items() if is_free]


def _told(chosen: Move, found: float, zero_shot: float) -> str:
    if chosen == NOWHERE:
        return f"validation says to stay where the latents are: nothing beats their mean recall of {zero_shot:.1%}"
    parts = {
        f"{chosen.residual:.0%} of what was trained": chosen.residual,
        f"{chosen.linear:g} times the linear map": chosen.linear,
        f"{chosen.share:.0%} of each cosine from the closed form": chosen.share,
    }
    taken = ", ".join(words for words, value in parts.items() if value)
    return f"validation says to move by {taken}: mean recall {found:.1%}, zero-shot {zero_shot:.1%}"


def chosen_move(recall: Callable[[Move], float], trained: Move, free: list[str]) -> tuple[Move, float]:
    """The best move of those that are tried, and its recall; of equal ones the shortest.

    Args:
        recall: of a move.
        trained: what a model has come to.
        free: numbers of a move that are chosen.
    """
    seen = {one: recall(one) for one in (NOWHERE, trained)}

    def best() -> Move:
        return max(seen, key=lambda one: (seen[one], -sum(one)))

    for name in free * ROUNDS:
        for one in _line(best(), name):
            if one not in seen:
                seen[one] = recall(one)
    return best(), seen[best()]


def _line(at: Move, name: str) -> Iterator[Move]:
    for value in TRIED[name]:
        yield at._replace(**{name: value})


def recall_after(model: FusionModel, training_sets: list[TrainingSet]) -> Callable[[Move], float]:
    """Mean recall on validation after a move, over all sets that are validated."""
    sets = []
    for one in training_sets:
        scorer = retrieval_scorer(one.gallery, one.modalities)
        if one.gallery is not None and scorer is not None:
            sets.append((scorer, [_side(model, items) for items in one.gallery.of(one.validation)]))

    def recall(after: Move) -> float:
        found = [scorer(*(side.moved(after) for side in sides))["mean_recall"] for scorer, sides in sets]
        return sum(found) / len(found)

    return recall


def _side(model: FusionModel, items: SideItems) -> _Side:
    adapter, like = model.adapters[items.modality], model.log_logit_scale
    start = model.prepare(items.modality, torch.from_numpy(items.latents()).to(like.device)).to(like.dtype)
    beside = model.fixed(items.modality, start) if model.beside else None
    if not isinstance(adapter, AlignedResidual):
        return _Side(start, torch.zeros_like(start), None, beside)
    linear = adapter.linear(start) if adapter.has_linear else None
    return _Side(start, without_gradient(adapter.bent, start), linear, beside)
