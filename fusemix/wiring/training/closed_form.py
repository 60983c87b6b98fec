"""The closed form of a run: fitted on its pairs, and where it has unpaired items, on soft pairs of these, too.

Place in the flow: LatentData, FusionModel -> linear maps, with settings that validation chooses -> starts.py.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize

from fusemix.config import TrainConfig
from fusemix.fusion.closed_form import (
    CHOICES,
    ClosedForm,
    LinearMap,
    Moments,
    Weighted,
    canonical_maps,
    climbed,
    mapped,
    pair_moments,
)
from fusemix.fusion.model import FusionModel, side_by_side
from fusemix.fusion.pseudo_pairs import potentials, soft_partners
from fusemix.interfaces import LatentBatch, Scorer
from fusemix.latents.distinct import distinct_rows
from fusemix.latents.galleries import SideItems
from fusemix.latents.sampling import sample
from fusemix.latents.training_sets import TrainingSet
from fusemix.tables import percent
from fusemix.wiring.training.aligned import is_aligned
from fusemix.wiring.training.unpaired import MOST

MOST_PAIRS = 500_000
"""More tell nothing new about means and covariances."""
ROWS_AT_ONCE = 8192
WEIGHT = 1.5
"""Of all soft pairs of one side together, where that of the pairs is 1."""
Maps = tuple[LinearMap, LinearMap]


class Found(NamedTuple):
    """A closed form.

    Attributes:
        maps: of the left and of the right.
        told: lines for people.
    """

    maps: Maps
    told: list[str]


class _Fit(NamedTuple):
    """Maps with the settings that validation chose, and their mean recall there."""

    maps: Maps
    setting: ClosedForm
    recall: float


def closed_form_of(
    model: FusionModel,
    config: TrainConfig,
    training_set: TrainingSet,
    scorer: Scorer,
    unpaired: Mapping[str, SideItems],
) -> Found:
    """Fit it, and again with unpaired items, which count only if validation is better with them.

    Beside latents that share a space already it is chosen by what both give together, or by itself where that is more.

    Args:
        model: whose preprocessing is fitted.
        config: settings.
        training_set: whose pairs are fitted on.
        scorer: of validation embeddings.
        unpaired: modality -> items without partners; may be empty.
    """
    pairs = pairs_of(model, training_set, config.seed)
    held_out = validation_latents(model, training_set)
    fit = partial(_fitted, config=config, dims=model.embedding_dim, held_out=held_out, scorer=scorer)
    alone = fit(pair_moments(pairs))
    told = [f"closed form with {_settings(alone)}"]
    if not unpaired:
        return Found(alone.maps, told)
    soft = _soft_pairs(model, training_set, alone.maps, unpaired, config.seed)
    both = fit(pair_moments(pairs, *soft))
    counts = " and ".join(f"{len(items):,} {modality}" for modality, items in unpaired.items())
    figures = f"{percent(alone.recall)} → {percent(both.recall)} on validation"
    if both.recall <= alone.recall:
        return Found(alone.maps, [*told, f"unpaired: {counts} items do not help the closed form ({figures}): not used"])
    told = [f"closed form with {_settings(both)}", f"unpaired: {counts} items help the closed form: {figures}"]
    return Found(both.maps, told)


def _settings(fit: _Fit) -> str:
    return ", ".join(f"{name} {value:g}" for name, value in fit.setting._asdict().items())


def _fitted(moments: Moments, config: TrainConfig, dims: int, held_out: tuple[Tensor, Tensor], scorer: Scorer) -> _Fit:
    dims = min(dims, len(moments.left_mean), len(moments.right_mean))
    seen: dict[ClosedForm, float] = {}

    def maps_of(setting: ClosedForm) -> Maps:
        return canonical_maps(moments, dims=dims, **setting._asdict())

    def recall(setting: ClosedForm) -> float:
        if setting not in seen:
            found = [mapped(side, one) for side, one in zip(held_out, maps_of(setting), strict=True)]
            seen[setting] = scorer(*found)["mean_recall"]
            if is_aligned(config):
                alone = [normalize(side, dim=1) for side in held_out]
                both = [side_by_side(*two, config.closed_form.share) for two in zip(alone, found, strict=True)]
                seen[setting] = max(seen[setting], scorer(*both)["mean_recall"])
        return seen[setting]

    chosen = climbed(recall, {name: getattr(config.closed_form, name) for name in CHOICES})
    return _Fit(maps_of(chosen), chosen, recall(chosen))


def _soft_pairs(
    model: FusionModel,
    training_set: TrainingSet,
    maps: Maps,
    unpaired: Mapping[str, SideItems],
    seed: int,
) -> list[Weighted]:
    """Each unpaired item with its soft partner; where one side has no unpaired items, those of its pairs stand in."""
    modalities = training_set.modalities
    sides = zip(training_set.train.sides, training_set.links.links.T, strict=True)
    latents = [
        _prepared(model, unpaired.get(side.modality) or SideItems(side, sample(distinct_rows(rows), MOST, seed)))
        for side, rows in sides
    ]
    left, right = (mapped(side, found) for side, found in zip(latents, maps, strict=True))
    even = potentials(left, right)
    made = []
    if modalities[0] in unpaired:
        partners = soft_partners(left, right, even, latents[1])
        made.append(Weighted(partial(_chunks, latents[0], partners), WEIGHT))
    if modalities[1] in unpaired:
        partners = soft_partners(right, left, even.turned(), latents[0])
        made.append(Weighted(partial(_chunks, partners, latents[1]), WEIGHT))
    return made


def _chunks(left: Tensor, right: Tensor) -> Iterator[LatentBatch]:
    for one, other in zip(left.split(ROWS_AT_ONCE), right.split(ROWS_AT_ONCE), strict=True):
        yield LatentBatch(one, other)


def pairs_of(model: FusionModel, training_set: TrainingSet, seed: int) -> Callable[[], Iterable[LatentBatch]]:
    """Pairs that are trained on, prepared, some at a time; of many a sample."""
    links = sample(training_set.links.links, MOST_PAIRS, seed)

    def chunks() -> Iterator[LatentBatch]:
        for at in range(0, len(links), ROWS_AT_ONCE):
            rows = links[at : at + ROWS_AT_ONCE].T
            sides = zip(training_set.train.sides, rows, strict=True)
            left, right = (_prepared(model, SideItems(side, some)) for side, some in sides)
            yield LatentBatch(left, right)

    return chunks


def validation_latents(model: FusionModel, training_set: TrainingSet) -> tuple[Tensor, Tensor]:
    """Items that are chosen on, prepared: left, then right."""
    assert training_set.gallery is not None, "the first set always has something to choose on"
    left, right = (_prepared(model, items) for items in training_set.gallery.of(training_set.validation))
    return left, right


def _prepared(model: FusionModel, items: SideItems) -> Tensor:
    return model.prepare(items.modality, torch.from_numpy(items.latents())).float()
