"""The latent sets of a training run, opened and checked against one another.

Place in the flow: TrainConfig -> Source(s) -> LatentData.
"""

from pathlib import Path

from fusemix.build.fitting import require_same_encoders
from fusemix.config import SetConfig, TrainConfig
from fusemix.errors import ConfigError, RunError
from fusemix.latents.loader import LatentData
from fusemix.latents.sets import LatentSet, Side
from fusemix.latents.sources import Source


def latent_data(config: TrainConfig, parts: int) -> LatentData:
    """All sets of a run.

    Args:
        config: of the run.
        parts: loaded pairs that become one pair of a step; see `mixup.Augmentation`.

    Raises:
        ConfigError: modalities without latents, a batch larger than the data, or a test split to choose on.
        RunError: two sets were not made by the same encoders.
    """
    first = SetConfig(train=config.train, validation=config.validation, holdout=config.holdout)
    sources = [_source(config, name, about, parts) for name, about in {"": first, **config.also}.items()]
    made: dict[str, Side] = {}
    for source in sources:
        for latent_set in (source.train, source.validation):
            for side in latent_set.sides:
                wanted = made.setdefault(side.modality, side)
                require_same_encoders(str(latent_set.folder), side.modality, wanted.fingerprints, side)
    return LatentData(sources, parts=parts, latents_on=config.latents_on, seed=config.seed)


def _source(config: TrainConfig, name: str, about: SetConfig, parts: int) -> Source:
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
        pairs_per_step=config.optim.batch_size * parts if config.method == "contrastive" else 1,
        seed=config.seed,
    )


def sides_by_modality(data: LatentData) -> dict[str, Side]:
    """One side for each modality of a run, the first set's where several sets have it."""
    sides: dict[str, Side] = {}
    for source in data.sources:
        for side in source.train.sides:
            sides.setdefault(side.modality, side)
    return sides


def require_divisible(batch_size: int, num_processes: int) -> None:
    """Refuse a batch that processes cannot share evenly.

    Raises:
        ConfigError: they cannot.
    """
    if batch_size % num_processes:
        nearest = max(1, round(batch_size / num_processes)) * num_processes
        raise ConfigError(
            f"optim.batch_size={batch_size:,} pairs cannot be shared by {num_processes} devices. "
            f"Set it to a multiple of {num_processes}, such as {nearest:,}."
        )
