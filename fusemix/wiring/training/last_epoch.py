"""The last epoch in place of the best one, where validation cannot tell them apart.

Place in the flow: best and last checkpoint, LatentData -> the checkpoint that counts from then on.

The best of many epochs on few held-out items is partly luck, and the last one has seen the learning rate fall to its
end. So the last one is kept unless the best is better by more than ERRORS standard errors. With one, this is the rule
that Breiman et al., "Classification and Regression Trees" (1984), choose a tree by; the best of twenty epochs that are
alike is above the last one by more than that as a matter of course.
"""

from typing import Any

import torch

from fusemix.errors import RunError
from fusemix.fusion.callbacks import stopped_early
from fusemix.fusion.checkpoints import MEAN_RECALL, trained_model
from fusemix.fusion.model import FusionModel
from fusemix.latents.galleries import Gallery
from fusemix.latents.loader import LatentData
from fusemix.latents.training_sets import TrainingSet
from fusemix.models.cached import embed
from fusemix.models.scoring import measured
from fusemix.retrieval.standard_error import Directions, Gain, gain

ERRORS = 2.0


def kept(
    best: dict[str, Any], last: dict[str, Any], data: LatentData, device: torch.device
) -> tuple[dict[str, Any], dict[str, Any], list[str]]:
    """One of two checkpoints of a run, facts for it, and lines for people.

    Args:
        best: of the epoch whose recall on validation was highest.
        last: of the last epoch. Where `optim.patience` ended the run, its learning rate was still high, and it is not
            taken.
        data: the run's sets.
        device: to compute on.
    """
    if last["epoch"] <= best["epoch"] or stopped_early(last["callbacks"]):
        return best, {}, []
    before, after = (trained_model(one, trust_code=True).to(device) for one in (best, last))
    try:
        found = _gain(before, after, data)
    except RunError:  # the last one gives NaN
        return best, {}, []
    if found.after < found.before - ERRORS * found.error:
        return best, {}, []
    told = (
        f"the last epoch is kept: its mean recall on validation, {found.after:.1%}, is within two standard errors "
        f"of {found.error:.2%} of the best one's, {found.before:.1%} after epoch {best['epoch'] + 1}"
    )
    return last, {MEAN_RECALL: found.after}, [told]


def _gain(before: FusionModel, after: FusionModel, data: LatentData) -> Gain:
    """Of mean recall, over all sets that are validated."""
    found = []
    for one in data.training_sets:
        if one.gallery is not None:
            both = _measured(before, one, one.gallery), _measured(after, one, one.gallery)
            found.append(gain(*both, one.gallery.links))
    count, error = len(found), sum(one.error**2 for one in found) ** 0.5
    return Gain(sum(one.before for one in found) / count, sum(one.after for one in found) / count, error / count)


def _measured(model: FusionModel, training_set: TrainingSet, gallery: Gallery) -> Directions:
    device = model.log_logit_scale.device
    left, right = (embed(model, items, str(device)).to(device) for items in gallery.of(training_set.validation))
    return measured(gallery, training_set.modalities, left, right)
