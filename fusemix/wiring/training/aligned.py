"""Latents that share a space already: the width that they keep, and the temperature that they start with.

Place in the flow: TrainConfig, LatentData -> settings with a width in place of `auto`; a model -> its temperature.
How far such a model is moved in the end: moving.py.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch

from fusemix.config import TrainConfig
from fusemix.errors import ConfigError
from fusemix.fusion.adapters import IDENTITY, KEEP_WIDTH
from fusemix.fusion.adapters.aligned_residual import AlignedResidual
from fusemix.fusion.model import FusionModel
from fusemix.fusion.temperature import best_temperature
from fusemix.latents.loader import LatentData
from fusemix.latents.training_sets import TrainingSet
from fusemix.wiring.training.data import sides_by_modality

WIDTH = 512
"""Of the shared space, where nothing says another."""
MOST_PAIRS = 2048
"""That a temperature is found by."""


def adapters_of(config: TrainConfig) -> dict[str, str]:
    """Modality -> name of its adapter."""
    return {modality: config.adapters.get(modality, config.adapter).name for modality in config.encoders}


def is_aligned(config: TrainConfig) -> bool:
    """Whether latents of all modalities stand in one space before anything is trained."""
    return all(name in KEEP_WIDTH for name in adapters_of(config).values())


def fixed_side(config: TrainConfig, training_set: TrainingSet) -> str | None:
    """The modality of a set that stays as it is while the other one trains; None where both do the same."""
    names = adapters_of(config)
    fixed = [modality for modality in training_set.modalities if names[modality] == IDENTITY]
    return fixed[0] if len(fixed) == 1 else None


def widened(config: TrainConfig, data: LatentData) -> TrainConfig:
    """The settings of a run with a number in place of `embedding_dim=auto`, as the run keeps them.

    Raises:
        ConfigError: adapters that keep the width of latents stand on latents of unequal widths; one side is to stay as
            it is, and the closed form would widen it; or there is a regression, and not just one side to stay.
    """
    names = adapters_of(config)
    first = data.training_sets[0]
    if config.regression.weight and fixed_side(config, first) is None:
        raise ConfigError(
            "regression.weight brings one side of the first set to another that stays as it is, so just one of "
            f"{' and '.join(first.modalities)} must have the adapter identity: adapters.{first.modalities[0]}=identity."
        )
    _require_unwidened(config, names)
    kept = {m: side.dim for m, side in sides_by_modality(data).items() if names[m] in KEEP_WIDTH}
    if len(set(kept.values())) > 1:
        raise _unequal(kept, names)
    if config.embedding_dim != "auto":
        return config
    return replace(config, embedding_dim=next(iter(kept.values()), WIDTH))


def _require_unwidened(config: TrainConfig, names: Mapping[str, str]) -> None:
    frozen = [modality for modality, name in names.items() if name == IDENTITY]
    if config.closed_form.share and frozen and len(frozen) < len(names):
        raise ConfigError(
            f"{frozen[0]} has the adapter identity, which leaves its vectors as they are, and the closed form beside "
            "adapters would make other, wider ones of them. Set closed_form.share=0."
        )


def _unequal(kept: Mapping[str, int], names: Mapping[str, str]) -> ConfigError:
    sides = " and ".join(f"{modality} latents of {width:,}" for modality, width in kept.items())
    which = " and ".join(dict.fromkeys(repr(names[modality]) for modality in kept))
    return ConfigError(
        f"adapter {which} keeps the width of latents, and widths differ: {sides} numbers. Such sides share no space: "
        "give one of them another adapter, or latents of two encoders that were trained together."
    )


def leaning(model: FusionModel) -> list[AlignedResidual]:
    """Adapters that add a linear map to the identity: one at the most.

    Raises:
        ConfigError: there are more.
    """
    found = [one for one in model.adapters.values() if isinstance(one, AlignedResidual) and one.has_linear]
    if len(found) > 1:
        raise ConfigError(
            "the option linear of aligned_residual moves one side, and the other one stays as it is: give it to one "
            "side, as in adapters={image: {name: aligned_residual, options: {linear: true}}}, or use closed_form.share."
        )
    return found


def start_temperature(model: FusionModel, training_set: TrainingSet, seed: int) -> float:
    """Set the temperature to what fits the model as it is, by one batch of training pairs; returns it."""
    groups = next(training_set.links.batches(training_set.pairs_per_step, np.random.default_rng(seed)))[:MOST_PAIRS]
    with torch.inference_mode():
        left, right = (
            model.adapt(side.modality, model.prepare(side.modality, torch.from_numpy(side.take(rows))))
            for side, rows in zip(training_set.train.sides, groups.T[:2], strict=True)
        )
    found = best_temperature(left, right)
    model.set_temperature(found)
    return found
