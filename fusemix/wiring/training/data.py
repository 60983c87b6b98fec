"""The latent sets of a training run, opened and checked against one another.

Place in the flow: TrainConfig -> Source(s) -> LatentData.
"""

from collections.abc import Sequence
from pathlib import Path

from fusemix.config import SetConfig, TrainConfig
from fusemix.errors import ConfigError, RunError
from fusemix.latents.distinct import distinct_rows
from fusemix.latents.loader import LatentData
from fusemix.latents.overlap import hold_the_same, shared_items
from fusemix.latents.sets import LatentSet, Side
from fusemix.latents.sources import Source
from fusemix.models.fitting import require_same_encoders
from fusemix.wiring.training.pace import Pace, batch_of, pace_of, require_divisible


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
    first = SetConfig(train=config.train, validation=config.validation, holdout=config.holdout)
    sources = [_source(config, name, about) for name, about in {"": first, **config.also}.items()]
    made: dict[str, Side] = {}
    for source in sources:
        for latent_set in (source.train, source.validation):
            for side in latent_set.sides:
                wanted = made.setdefault(side.modality, side)
                require_same_encoders(str(latent_set.folder), side.modality, wanted.fingerprints, side, wanted.accepted)
    _require_other_sets(sources)
    batch_size = batch_of(config.optim, sources, parts, num_processes)
    if config.method == "contrastive":
        require_divisible(batch_size, num_processes)
        for source in sources:
            source.deal(batch_size * parts)
    data = LatentData(sources, parts=parts, latents_on=config.latents_on, seed=config.seed)
    return data, pace_of(config.optim, batch_size, data.num_batches)


def _source(config: TrainConfig, name: str, about: SetConfig) -> Source:
    train = LatentSet(Path(about.train), config.encoders)
    validation = LatentSet(Path(about.validation), config.encoders) if about.validation else None
    pairs = [{side.modality for side in latent_set.sides} for latent_set in (train, validation) if latent_set]
    if pairs[0] != pairs[-1]:
        raise RunError(f"{about.validation} pairs {' and '.join(sorted(pairs[-1]))}, but {about.train} does not.")
    return Source(
        name,
        train,
        validation=validation,
        holdout=about.holdout,
        weight=about.weight,
        links_per_item=config.links_per_item,
        seed=config.seed,
    )


def _require_other_sets(sources: Sequence[Source]) -> None:
    """Refuse to choose on a set that is trained on, wherever it lies and however its folder is spelled."""
    for chosen_on in sources:
        for source in sources:
            if chosen_on.is_validated_apart and hold_the_same(chosen_on.validation, source.train):
                raise _trained_on(chosen_on, source)


def _trained_on(chosen_on: Source, source: Source) -> ConfigError:
    return ConfigError(
        f"validation is {chosen_on.validation.folder}, which holds the pairs of {source.train.folder}, and these are "
        "trained on: the best epoch would be the one that knows them by heart. Give a validation split, or hold out a "
        "part of train with holdout=0.1."
    )


def shared_with_training(data: LatentData) -> list[str]:
    """What to tell of items that are both trained and validated on; see `overlap`.

    Raises:
        ConfigError: all are.
    """
    told = []
    for chosen_on in data.sources:
        for source in data.sources:
            if chosen_on.gallery is None or (chosen_on is source and not chosen_on.is_validated_apart):
                continue
            shared = {
                items.modality: shared_items(train, distinct_rows(source.links.links[:, place]), items)
                for items in chosen_on.gallery.of(chosen_on.validation)
                for place, train in enumerate(source.train.sides)
                if train.modality == items.modality
            }
            if len(shared) == 2 and all(found.all() for found in shared.values()):
                raise _trained_on(chosen_on, source)
            # Two pictures may have one caption, so equal texts alone say nothing.
            if any(found.any() for modality, found in shared.items() if modality != "text"):
                counts = " and ".join(f"{f.sum():,} of {len(f):,} {m} items" for m, f in shared.items())
                told.append(
                    f"{counts} of {chosen_on.validation.folder} are in {source.train.folder}, too, and trained on: "
                    f"figures on validation are better than they should be"
                )
    return told


def sides_by_modality(data: LatentData) -> dict[str, Side]:
    """One side for each modality of a run, the first set's where several sets have it."""
    sides: dict[str, Side] = {}
    for source in data.sources:
        for side in source.train.sides:
            sides.setdefault(side.modality, side)
    return sides
