"""Stage 1, wired: data set, encoders, and the stores that they fill.

Place in the flow: CacheConfig -> PairSet, Encoder, StoreWriter.
"""

from pathlib import Path

from fusemix.config import CacheConfig
from fusemix.datasets import DATASETS
from fusemix.encoders import ENCODERS
from fusemix.environment import resolve_device
from fusemix.errors import ConfigError
from fusemix.interfaces import Encoder, Items, PairSet
from fusemix.latents.sets import items_sha256
from fusemix.latents.writer import StoreWriter


def pair_set(config: CacheConfig, split: str) -> PairSet:
    """One split of the configured data set."""
    return DATASETS.build(config.dataset.name, config.dataset.options, split=split)


def encoders(config: CacheConfig, pairs: PairSet) -> dict[str, Encoder]:
    """The configured encoders on their device, each for one of the modalities of `pairs`.

    Raises:
        ConfigError: an encoder is for another modality, or does not offer what an encoder must.
    """
    device = resolve_device(config.device)
    built: dict[str, Encoder] = {}
    for slug, part in config.encoders.items():
        encoder = ENCODERS.build(part.name, part.options)
        if not isinstance(encoder, Encoder):
            missing = [name for name in ENCODER_OFFERS if not hasattr(encoder, name)]
            raise ConfigError(f"encoders.{slug}: {part.name} gave an object without {', '.join(missing)}.")
        modalities = [items.modality for items in pairs.sides]
        if encoder.modality not in modalities:
            raise ConfigError(
                f"encoders.{slug} ({part.name}) is for {encoder.modality}, but {pairs.dataset} pairs "
                f"{' with '.join(modalities)}."
            )
        built[slug] = encoder.to(device)
    return built


ENCODER_OFFERS = ("modality", "dim", "sample_rate", "fingerprint", "to", "prepare", "length", "encode")


def store_writer(config: CacheConfig, items: Items, slug: str, encoder: Encoder, folder: Path) -> StoreWriter:
    """The store of one encoder over one side, in the folder of its latent set."""
    return StoreWriter(
        folder / items.modality / slug,
        ids=items.table["id"],
        modality=items.modality,
        dim=encoder.dim,
        dtype=config.dtype,
        shard_size=config.shard_size,
        fingerprint={"encoder": encoder.fingerprint, "items_sha256": items_sha256(items.table)},
        max_bad_fraction=config.max_bad_fraction,
        overwrite=config.overwrite,
    )
