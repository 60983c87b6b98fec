"""Stage 1, wired: data set, encoders, processes, and the stores that they fill.

Place in the flow: CacheConfig -> PairSet, Encoder, Fabric, StoreWriter.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from lightning.fabric import Fabric

from fusemix.config import CacheConfig, to_plain
from fusemix.datasets import DATASETS
from fusemix.encoders import ENCODERS
from fusemix.encoders.decoding import decoding_fingerprint
from fusemix.encoders.dtypes import dtype_for, with_dtype
from fusemix.errors import ConfigError
from fusemix.interfaces import Encoder, Items, PairSet
from fusemix.latents.item_tables import TIMES
from fusemix.latents.writer import StoreWriter
from fusemix.machine.limits import Cores, cores_of_this_process, share_of_cores
from fusemix.machine.parallel import fabric_for, gathered

MOST_WORKERS = 16
"""More processes than this, beside one device, seldom read faster."""


def pair_set_of(config: CacheConfig, split: str) -> PairSet:
    """One split of the configured data set.

    Raises:
        ConfigError: what was named is no data set.
    """
    pairs = DATASETS.build(config.dataset.name, config.dataset.options, split=split)
    if not isinstance(pairs, PairSet):
        raise ConfigError(f"dataset: {config.dataset.name} gave a {type(pairs).__name__}, where a PairSet is due.")
    return pairs


def encoders_of(config: CacheConfig, pairs: PairSet | None) -> dict[str, Encoder]:
    """The configured encoders, still on the CPU, each for one of the modalities of `pairs`; None asks for none.

    Raises:
        ConfigError: an encoder is for another modality, or does not offer what an encoder must.
    """
    built: dict[str, Encoder] = {}
    for slug, part in config.encoders.items():
        encoder = ENCODERS.build(part.name, part.options)
        if not isinstance(encoder, Encoder):
            missing = [name for name in ENCODER_OFFERS if not hasattr(encoder, name)]
            raise ConfigError(f"encoders.{slug}: {part.name} gave an object without {', '.join(missing)}.")
        modalities = [items.modality for items in pairs.sides] if pairs else [encoder.modality]
        if pairs and encoder.modality not in modalities:
            raise ConfigError(
                f"encoders.{slug} ({part.name}) is for {encoder.modality}, but {pairs.dataset} pairs "
                f"{' with '.join(modalities)}."
            )
        built[slug] = encoder
    return built


ENCODER_OFFERS = ("modality", "dim", "sample_rate", "fingerprint", "to", "prepare", "length", "collate", "encode")


def fabric_of(config: CacheConfig) -> Fabric:
    """The processes that share the work, not launched yet."""
    return fabric_for(**to_plain(config.compute))


def with_dtypes(config: CacheConfig, fabric: Fabric) -> CacheConfig:
    """The same, with what the encoders compute in where that is `auto`: the first process decides for all of them.

    To be called in all processes; those that are not launched yet see the devices of their one machine.
    """
    dtype = gathered(dtype_for(getattr(fabric.strategy, "parallel_devices", None) or [fabric.device]))[0]
    own = {slug: part for slug, part in config.encoders.items() if ENCODERS.is_own(part.name)}
    settled = {slug: replace(part, options=with_dtype(part.options, dtype)) for slug, part in own.items()}
    return replace(config, encoders={**config.encoders, **settled})


def with_workers(config: CacheConfig, fabric: Fabric) -> CacheConfig:
    """The same, with a number for `num_workers`; to be called in all processes, once they are launched."""
    return replace(config, num_workers=num_workers(config, fabric, gathered(cores_of_this_process())))


def num_workers(config: CacheConfig, fabric: Fabric, everybody: Sequence[Cores] = ()) -> int:
    """Processes that read and decode beside each device.

    Args:
        config: with a number, which is taken, or `auto`.
        fabric: the processes that share the work.
        everybody: what each of them may compute on; where that is not known, those of a machine share all cores.
    """
    if not isinstance(config.num_workers, str):
        return config.num_workers
    mine = cores_of_this_process()
    on_this_machine = max(1, fabric.world_size // config.compute.num_nodes)
    return workers_beside(fabric.device.type, share_of_cores(mine, everybody or [mine] * on_this_machine))


def workers_beside(device: str, cores: int) -> int:
    """All of a process's cores but one beside a GPU, which is fed by it; at most two beside a CPU, which needs them."""
    return max(1, min(cores - 1, MOST_WORKERS) if device != "cpu" else min(cores, 2))


def store_writer_of(
    config: CacheConfig, items: Items, items_sha256: str, slug: str, encoder: Encoder, folder: Path, *, is_first: bool
) -> StoreWriter:
    """The store of one encoder over one side, in the folder of its latent set.

    Args:
        config: the run's.
        items: of the side.
        items_sha256: hash of their table.
        slug: name of the encoder.
        encoder: which is cached.
        folder: of the latent set.
        is_first: in the first process, which alone may discard or reopen what is there.
    """
    return StoreWriter(
        folder / items.modality / slug,
        ids=items.table["id"],
        modality=items.modality,
        dim=encoder.dim,
        dtype=config.dtype,
        shard_size=config.shard_size,
        fingerprint={
            "encoder": encoder.fingerprint,
            "decoding": decoding_fingerprint(items.modality),
            "items_sha256": items_sha256,
        },
        source=to_plain(config.encoders[slug]),
        times=items.table[TIMES] if TIMES in items.table.column_names else None,
        max_bad_fraction=config.max_bad_fraction,
        overwrite=config.overwrite,
        verify=config.verify,
        accept=config.accept,
        joins=not is_first,
    )
