"""What settings leave to the data: which recipe they take (`recipe=auto`), and how much is held out to choose on.

Place in the flow: TrainConfig, the sets it names -> a TrainConfig that says it all, and lines for people.

The same data give the same choice, so the same command is the same run; the run keeps what it came to, in its
config.yaml. Not here: what a recipe says (configs/train), and how it is merged below what was given (cli/loading.py).
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from fusemix.config import TrainConfig
from fusemix.config.recipes import (
    ALIGNED,
    AUTO,
    FEW,
    FEW_PAIRS,
    FEWEST,
    MANY,
    MANY_PAIRS,
    holdout_for,
    recipe_for,
    recipes_of,
)
from fusemix.errors import ConfigError
from fusemix.fusion.closed_form import RIDGES, canonical_maps, mapped, pair_moments
from fusemix.interfaces import LatentBatch
from fusemix.latents.sampling import sample
from fusemix.latents.sets import LatentSet
from fusemix.latents.training_sets import TrainingSet
from fusemix.models.scoring import retrieval_scorer
from fusemix.wiring.training.data import first_set

ByRecipe = Callable[[str, Mapping[str, Any]], TrainConfig]
"""Makes the settings again over a recipe; see `loading.makes`."""
TRIED, FITTED = 1000, 20_000
"""Pairs that are looked at: whether they find each other as they are, and to fit a closed form on."""
ABOVE_CHANCE = 10
"""Two sides share a space where so many times more of them find their partner first than would by chance."""
POWER = 0.75
"""Of the closed form that an aligned pair is compared with, whose ridges are the same on both sides."""


class Chosen(NamedTuple):
    """A recipe, and why.

    Attributes:
        name: of the recipe.
        below: settings that win over it, and over nothing that was given.
        told: a line for people.
    """

    name: str
    below: dict[str, Any]
    told: str


def settled(config: TrainConfig, by_recipe: ByRecipe) -> tuple[TrainConfig, list[str]]:
    """Settings in which nothing is left to the data but numbers of `auto`, and what to tell of it.

    Args:
        config: as it was given.
        by_recipe: makes it again over the recipe that is chosen.

    Raises:
        FusemixError: a set cannot be read, or the recipe does not go with the settings.
    """
    told = []
    if config.recipe == AUTO:
        chosen = chosen_recipe(config)
        config = _over(chosen, by_recipe)
        told.append(chosen.told)
    apart = _held_out(config)
    if apart is not config:
        told.append(
            f"no validation is given, so {100 * apart.holdout:g} % of the pairs are held out to choose on: "
            f"holdout={apart.holdout:g}"
        )
    return apart, told


def _over(chosen: Chosen, by_recipe: ByRecipe) -> TrainConfig:
    try:
        return by_recipe(chosen.name, chosen.below)
    except ConfigError as error:
        raise ConfigError(
            f"{chosen.told}, and it does not go with these settings: {error} Leave them out, or name another recipe."
        ) from error


def _held_out(config: TrainConfig) -> TrainConfig:
    if config.validation is not None or config.holdout:
        return config
    return replace(config, holdout=holdout_for(_num_pairs(config.train, config)))


def _num_pairs(folder: str, config: TrainConfig) -> int:
    return LatentSet(Path(folder), config.encoders).description["num_links"]


def chosen_recipe(config: TrainConfig) -> Chosen:
    """The recipe that fits the data.

    Raises:
        FusemixError: a set cannot be read.
    """
    count = sum(_num_pairs(folder, config) for folder in (config.train, *(one.train for one in config.also.values())))
    name = recipe_for(count)
    bounds = {FEWEST: f"fewer than {FEW_PAIRS:,}", FEW: f"fewer than {MANY_PAIRS:,}", MANY: f"at least {MANY_PAIRS:,}"}
    why = f"{count:,} pairs are {bounds[name]}"
    if config.also:
        name = FEW if name == FEWEST else name
        why += "; of several sets no closed form can be made, so it is left out"
        return Chosen(name, {"closed_form": {"share": 0.0}}, _told(name, why))
    aligned = _aligned(first_set(_held_out(config)), config) if ALIGNED in recipes_of(TrainConfig) else ""
    return Chosen(ALIGNED, {}, _told(ALIGNED, aligned)) if aligned else Chosen(name, {}, _told(name, why))


def _told(name: str, why: str) -> str:
    return f"recipe=auto takes {name}: {why}"


def _aligned(training_set: TrainingSet, config: TrainConfig) -> str:
    """Why the space is kept that both sides share; empty where they share none, or a new one is better.

    Pairs find each other as they are, and on validation no worse than by half of what a closed form of them does.
    """
    one, other = training_set.train.sides
    if one.dim != other.dim:
        return ""
    pairs = sample(training_set.links.links, TRIED, config.seed)
    pairs = pairs[np.unique(pairs[:, 0], return_index=True)[1]]
    pairs = pairs[np.unique(pairs[:, 1], return_index=True)[1]]
    found = found_first(*(_units(side.take(rows)) for side, rows in zip((one, other), pairs.T, strict=True)))
    if found * len(pairs) < ABOVE_CHANCE:
        return ""
    as_they_are, closed = _on_validation(training_set, config)
    if as_they_are < closed / 2:
        return ""
    return (
        f"as they are, {100 * found:.3g} % of {len(pairs):,} pairs find each other first, so both sides share a space; "
        f"mean recall on validation is {100 * as_they_are:.3g} % in it, and {100 * closed:.3g} % in closed form"
    )


def found_first(left: Float[Tensor, "pairs dim"], right: Float[Tensor, "pairs dim"]) -> float:
    """Share of items whose own partner is the nearest to them, over both directions; by chance one in `pairs`.

    Args:
        left, right: of unit length; row i belongs to row i.
    """
    cosines, own = left @ right.T, torch.arange(len(left))
    return float(torch.cat([cosines.argmax(dim=dim) == own for dim in (0, 1)]).double().mean())


def _on_validation(training_set: TrainingSet, config: TrainConfig) -> tuple[float, float]:
    """Mean recall on validation of latents as they are, and of a closed form of the pairs with the best ridge."""
    scorer = retrieval_scorer(training_set.gallery, training_set.modalities)
    assert scorer is not None and training_set.gallery is not None, "something is held out"
    held = [_units(items.latents()) for items in training_set.gallery.of(training_set.validation)]
    links = sample(training_set.links.links, FITTED, config.seed)
    batch = LatentBatch(
        *(_units(side.take(rows)) for side, rows in zip(training_set.train.sides, links.T, strict=True))
    )
    moments, dims = pair_moments(lambda: [batch]), batch.left.shape[1]

    def recall(ridge: float) -> float:
        maps = canonical_maps(moments, dims=dims, left_ridge=ridge, right_ridge=ridge, power=POWER)
        return scorer(*(mapped(side, one) for side, one in zip(held, maps, strict=True)))["mean_recall"]

    return scorer(*held)["mean_recall"], max(map(recall, RIDGES))


def _units(latents: Float[np.ndarray, "rows dim"]) -> Float[Tensor, "rows dim"]:
    return F.normalize(torch.from_numpy(latents).float(), dim=1)
