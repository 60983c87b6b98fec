"""Stage 1: run frozen encoders once over a data set and keep their latents.

    python cache_features.py configs/cache/glyphs.yaml [key=value …]

Reads the data set; writes one latent set a split, in <out>/<split>/. A run that was killed goes on
where it stopped when the same command is given again.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning.fabric import Fabric

from fusemix.alone import alone_in
from fusemix.build import cache as build
from fusemix.build.content import forget_replaced
from fusemix.build.filling import Side, fill
from fusemix.build.parts import PARTS
from fusemix.build.retry import retry_rejected
from fusemix.build.telling import tell_pairs
from fusemix.commands import check
from fusemix.commands.next_step import after_caching
from fusemix.config import CacheConfig, load_config, to_plain
from fusemix.discarding import goal_of
from fusemix.interfaces import Encoder, PairSet
from fusemix.latents.item_tables import items_sha256
from fusemix.latents.manifest import Manifest
from fusemix.latents.set_writer import replace_set, write_set
from fusemix.parallel import failing_together, first_alone, gathered, started_by_others
from fusemix.progress import console


def main(argv: Sequence[str]) -> list[Path]:
    """Cache all splits with all encoders; returns the folders of the latent sets, of which a dry run makes none."""
    config = load_config(CacheConfig, argv, parts=PARTS)
    if config.dry_run:
        check.main(argv)
        return []
    fabric = build.fabric(config)
    console.quiet = not fabric.is_global_zero
    sets = [Path(config.out) / split for split in config.splits]
    how: dict[str, Any] = {"wait_sec": config.wait_sec, "devices": config.devices, "num_nodes": config.num_nodes}
    with alone_in(sets, fabric, doing="cache_features", **how):
        return _cache(config, fabric)


def _cache(config: CacheConfig, fabric: Fabric) -> list[Path]:
    config = build.with_dtypes(config, fabric)
    with failing_together(fabric), first_alone(fabric):
        splits = {split: build.pair_set(config, split) for split in config.splits}
        encoders = build.encoders(config, next(iter(splits.values())))
        places: dict[str, Path] = {}
        sides: list[Side] = []
        if fabric.is_global_zero:  # it may fail: before others start
            places = {split: _write_set(config, split, pairs) for split, pairs in splits.items()}
            sides = _open(config, splits, encoders, places)
    if not started_by_others(fabric):
        fabric.launch()
    config = build.with_workers(config, fabric)
    places = gathered(places)[0]
    sides = sides or _open(config, splits, encoders, places, is_first=False)
    for encoder in encoders.values():
        encoder.to(str(fabric.device))
    if fabric.world_size > 1:
        console.print(f"{fabric.world_size} processes share the work")
    for side in sides:
        _fill(side, fabric, config)
    if fabric.is_global_zero:
        for place in places.values():
            replace_set(place)
    console.print(f"cached {', '.join(config.encoders)} over {', '.join(splits)} in {config.out}")
    following = after_caching(config.out, {slug: encoder.modality for slug, encoder in encoders.items()})
    if fabric.is_global_zero and following:
        console.print(following)
    return [goal_of(place) for place in places.values()]


def _fill(side: Side, fabric: Fabric, config: CacheConfig) -> None:
    if config.retry_rejected:
        retry_rejected(side, fabric, config)
    were_there = {slug for slug, writer in side.writers.items() if writer.is_sealed}
    for manifest in fill(side, fabric, config):
        _tell_store(manifest, goal_of(side.folder), was_there=manifest.encoder in were_there)


def _write_set(config: CacheConfig, split: str, pairs: PairSet) -> Path:
    how = {"overwrite": config.overwrite, "verify": config.verify}
    place = write_set(Path(config.out) / split, pairs, to_plain(config.dataset), **how)
    tell_pairs(pairs, goal_of(place))
    return place


def _open(
    config: CacheConfig,
    splits: dict[str, PairSet],
    encoders: dict[str, Encoder],
    places: Mapping[str, Path],
    *,
    is_first: bool = True,
) -> list[Side]:
    sides = []
    for split, pairs in splits.items():
        folder = places[split]
        for items in pairs.sides:
            of = {slug: encoder for slug, encoder in encoders.items() if encoder.modality == items.modality}
            sha256 = items_sha256(items.table)
            writers = {
                slug: build.store_writer(config, items, sha256, slug, encoder, folder, is_first=is_first)
                for slug, encoder in of.items()
            }
            if is_first:
                forget_replaced(folder, items, writers, everything=config.verify)
            if of:
                sides.append(Side(folder, items, of, writers))
    return sides


def _tell_store(manifest: Manifest, folder: Path, *, was_there: bool) -> None:
    size = sum(shard.num_bytes for shard in manifest.shards) / 1e6
    console.print(
        f"  {manifest.modality}/{manifest.encoder}: {manifest.num_rows:,} × {manifest.dim} {manifest.dtype}, "
        f"{size:,.1f} MB{' (was there already)' if was_there else ''}"
    )
    if manifest.num_rejected:
        where = folder / manifest.modality / manifest.encoder / "quarantine.jsonl"
        console.print(f"  {manifest.num_rejected:,} items set aside: {where}", style="yellow")
