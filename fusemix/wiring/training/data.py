"""The latent sets of a training run, opened and checked against one another.

Place in the flow: TrainConfig -> TrainingSet(s) -> LatentData.
"""

from collections.abc import Sequence
from pathlib import Path

from fusemix.config import SetConfig, TrainConfig
from fusemix.errors import ConfigError, RunError
from fusemix.latents.distinct import distinct_rows
from fusemix.latents.loader import LatentData
from fusemix.latents.overlap import hold_the_same, shared_items
from fusemix.latents.sets import LatentSet, Side
from fusemix.latents.training_sets import TrainingSet
from fusemix.models.fitting import require_same_encoders
from fusemix.wiring.training.pace import Pace, batches_of, pace_of, require_divisible
from fusemix.wiring.training.unpaired import unpaired_of


def latent_data(config: TrainConfig, parts: int, num_processes: int) -> tuple[LatentData, Pace]:
    """All sets of a run, and how training is paced over them.

    Args:
        parts: loaded pairs that become one pair of a step; see `mixup.Augmentation`.
        num_processes: that share each batch.

    Raises:
        ConfigError: modalities without latents, a batch larger than the data, or a test split or a set that is trained
            on to choose on.
        RunError: two sets were not made by the same encoders.
    """
    training_sets = [first_set(config), *(_training_set(config, name, about) for name, about in config.also.items())]
    made: dict[str, Side] = {}
    for training_set in training_sets:
        for latent_set in (training_set.train, training_set.validation):
            for side in latent_set.sides:
                wanted = made.setdefault(side.modality, side)
                require_same_encoders(str(latent_set.folder), side.modality, wanted.fingerprints, side, wanted.accepted)
    _require_other_sets(training_sets)
    batches = batches_of(config, training_sets, parts, num_processes)
    if config.method == "contrastive":
        for training_set in training_sets:
            require_divisible(training_set.name, batches[training_set.name], num_processes)
            training_set.deal(batches[training_set.name] * parts)
    data = LatentData(training_sets, parts=parts, latents_on=config.latents_on, seed=config.seed)
    data.unpaired = unpaired_of(config, training_sets[0])
    return data, pace_of(config.optim, batches, data.num_batches)


def first_set(config: TrainConfig) -> TrainingSet:
    """The set that `train` names, with what is held out of it, or its validation set.

    Raises:
        FusemixError: as for `latent_data`.
    """
    about = SetConfig(train=config.train, validation=config.validation, holdout=config.holdout)
    return _training_set(config, "", about)


def _training_set(config: TrainConfig, name: str, about: SetConfig) -> TrainingSet:
    train = LatentSet(Path(about.train), config.encoders)
    validation = LatentSet(Path(about.validation), config.encoders) if about.validation else None
    pairs = [{side.modality for side in latent_set.sides} for latent_set in (train, validation) if latent_set]
    if pairs[0] != pairs[-1]:
        raise RunError(f"{about.validation} pairs {' and '.join(sorted(pairs[-1]))}, but {about.train} does not.")
    return TrainingSet(
        name,
        train,
        validation=validation,
        holdout=about.holdout,
        weight=about.weight,
        links_per_item=config.links_per_item,
        seed=config.seed,
    )


def _require_other_sets(training_sets: Sequence[TrainingSet]) -> None:
    """Refuse to choose on a set that is trained on, wherever it lies and however its folder is spelled."""
    for chosen_on in training_sets:
        for training_set in training_sets:
            if chosen_on.is_validated_apart and hold_the_same(chosen_on.validation, training_set.train):
                raise _trained_on(chosen_on, training_set)


def _trained_on(chosen_on: TrainingSet, training_set: TrainingSet) -> ConfigError:
    return ConfigError(
        f"validation is {chosen_on.validation.folder}, which holds the pairs of {training_set.train.folder}, and these "
        "are trained on: the best epoch would be the one that knows them by heart. Give a validation split, or hold "
        "out a part of train with holdout=0.1."
    )


def shared_with_training(data: LatentData) -> list[str]:
    """What to tell of items that are both trained and validated on; see `overlap`.

    Raises:
        ConfigError: all are.
    """
    told = []
    for chosen_on in data.training_sets:
        for training_set in data.training_sets:
            if chosen_on.gallery is None or (chosen_on is training_set and not chosen_on.is_validated_apart):
                continue
            shared = {
                items.modality: shared_items(train, distinct_rows(training_set.links.links[:, place]), items)
                for items in chosen_on.gallery.of(chosen_on.validation)
                for place, train in enumerate(training_set.train.sides)
                if train.modality == items.modality
            }
            if len(shared) == 2 and all(found.all() for found in shared.values()):
                raise _trained_on(chosen_on, training_set)
            # Two pictures may have one caption, so equal texts alone say nothing.
            if any(found.any() for modality, found in shared.items() if modality != "text"):
                counts = " and ".join(f"{f.sum():,} of {len(f):,} {m} items" for m, f in shared.items())
                told.append(
                    f"{counts} of {chosen_on.validation.folder} are in {training_set.train.folder}, too, and trained on"
                    ": figures on validation are better than they should be"
                )
    return told


def sides_by_modality(data: LatentData) -> dict[str, Side]:
    """One side for each modality of a run, the first set's where several sets have it."""
    sides: dict[str, Side] = {}
    for training_set in data.training_sets:
        for side in training_set.train.sides:
            sides.setdefault(side.modality, side)
    return sides
