"""Stage 1: run frozen encoders once over a data set and keep their latents.

    python cache_features.py configs/cache/glyphs.yaml [key=value …]

Reads the data set; writes one latent set a split, in <out>/<split>/. A run that was killed goes on
where it stopped when the same command is given again.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

from lightning.fabric import Fabric

from fusemix.commands import check
from fusemix.commands.next_step import after_caching
from fusemix.config import CacheConfig, to_plain
from fusemix.disk.discarding import goal_of
from fusemix.disk.shares import Beside
from fusemix.interfaces import Encoder, Items, PairSet
from fusemix.latents.manifest import Manifest
from fusemix.latents.set_writer import hashes_of, replace_set, write_set
from fusemix.machine.alone import alone_in
from fusemix.machine.parallel import failing_together, first_alone, gathered, started_by_others
from fusemix.progress import console
from fusemix.wiring.caching.cache import encoders_of, fabric_of, pair_set_of, store_writer_of, with_dtypes, with_workers
from fusemix.wiring.caching.content import forget_replaced
from fusemix.wiring.caching.filling import Side, fill
from fusemix.wiring.caching.handing import Handed, handing, taken
from fusemix.wiring.caching.retry import retry_rejected
from fusemix.wiring.caching.telling import tell_pairs


def main(config: CacheConfig, words: Sequence[str] = ()) -> list[Path]:
    """Cache all splits with all encoders; returns the folders of the latent sets, of which a dry run makes none."""
    if config.dry_run:
        check.main(config, words)
        return []
    fabric = fabric_of(config)
    console.quiet = not fabric.is_global_zero
    sets = [Path(config.out) / split for split in config.splits]
    compute = config.compute
    how: dict[str, Any] = {"wait_sec": config.wait_sec, "devices": compute.devices, "num_nodes": compute.num_nodes}
    with alone_in(sets, fabric, doing="cache_features", share=config.share, **how) as beside:
        return _cache(config, fabric, beside)


def _cache(config: CacheConfig, fabric: Fabric, beside: Beside) -> list[Path]:
    config = with_dtypes(config, fabric)
    with ExitStack() as stack:
        with failing_together(fabric), first_alone(fabric):
            splits, sides, told = {}, [], _Told({}, {}, {})
            if fabric.is_global_zero:  # it may fail: before others start
                splits = {split: pair_set_of(config, split) for split in config.splits}
            encoders = encoders_of(config, next(iter(splits.values()), None))
            if fabric.is_global_zero:
                told, sides = _opened(config, splits, encoders, beside)
                if fabric.world_size > 1:
                    told = told._replace(tables=_handed(stack, told.places, splits))
        if not started_by_others(fabric):
            fabric.launch()
        config = with_workers(config, fabric)
        told = gathered(told)[0]
        with failing_together(fabric), first_alone(fabric):
            if not fabric.is_global_zero:
                sides = _joined(config, encoders, told)
        return _filled(config, fabric, beside, encoders, sides, told.places)


class _Told(NamedTuple):
    """What the first process tells the others, by split: where sets are written, hashes of their tables, the tables."""

    places: Mapping[str, Path]
    hashes: Mapping[str, Mapping[str, str]]
    tables: Mapping[str, list[Handed] | None]


def _opened(
    config: CacheConfig, splits: Mapping[str, PairSet], encoders: dict[str, Encoder], beside: Beside
) -> tuple[_Told, list[Side]]:
    hashes = {split: hashes_of(pairs) for split, pairs in splits.items()}
    with beside.moment():
        places = {split: _write_set(config, split, pairs, hashes[split]) for split, pairs in splits.items()}
        sides = [
            side
            for split, pairs in splits.items()
            for side in _sides(config, pairs.sides, encoders, places[split], hashes[split], is_first=True)
        ]
    for side in sides:
        forget_replaced(side.folder, side.items, side.writers, everything=config.verify, beside=beside)
    return _Told(places, hashes, {}), sides


def _handed(
    stack: ExitStack, places: Mapping[str, Path], splits: Mapping[str, PairSet]
) -> dict[str, list[Handed] | None]:
    return {split: stack.enter_context(handing(places[split], pairs.sides)) for split, pairs in splits.items()}


def _joined(config: CacheConfig, encoders: dict[str, Encoder], told: _Told) -> list[Side]:
    """The sides in another process than the first, which has loaded the data set and opened the stores."""
    sides = []
    for split, tables in told.tables.items():
        both = map(taken, tables) if tables else pair_set_of(config, split).sides
        sides += _sides(config, both, encoders, told.places[split], told.hashes[split], is_first=False)
    return sides


def _filled(
    config: CacheConfig,
    fabric: Fabric,
    beside: Beside,
    encoders: dict[str, Encoder],
    sides: Sequence[Side],
    places: Mapping[str, Path],
) -> list[Path]:
    for encoder in encoders.values():
        encoder.to(str(fabric.device))
    if fabric.world_size > 1:
        console.print(f"{fabric.world_size} processes share the work")
    for side in sides:
        _fill(side, fabric, config, beside)
    if fabric.is_global_zero:
        for place in places.values():
            replace_set(place)
        _tell_end(config, sides, encoders)
    return [goal_of(place) for place in places.values()]


def _tell_end(config: CacheConfig, sides: Sequence[Side], encoders: Mapping[str, Encoder]) -> None:
    if config.share and (left := [writer for side in sides for writer in side.writers.values() if writer.missing()]):
        missing = sum(len(writer.missing()) for writer in left)
        total = sum(len(writer.spans) for side in sides for writer in side.writers.values())
        console.print(
            f"part {config.share} is done; {missing:,} of {total:,} shards are still to be written by other parts"
        )
        return
    console.print(f"cached {', '.join(config.encoders)} over {', '.join(config.splits)} in {config.out}")
    if following := after_caching(config.out, {slug: encoder.modality for slug, encoder in encoders.items()}):
        console.print(following)


def _fill(side: Side, fabric: Fabric, config: CacheConfig, beside: Beside) -> None:
    if config.retry_rejected:
        retry_rejected(side, fabric, config)
    were_there = {slug for slug, writer in side.writers.items() if writer.is_sealed}
    for manifest in fill(side, fabric, config, beside):
        _tell_store(manifest, goal_of(side.folder), was_there=manifest.encoder in were_there)


def _write_set(config: CacheConfig, split: str, pairs: PairSet, hashes: Mapping[str, str]) -> Path:
    how: dict[str, Any] = {"overwrite": config.overwrite, "verify": config.verify, "hashes": hashes}
    place = write_set(Path(config.out) / split, pairs, to_plain(config.dataset), **how)
    tell_pairs(pairs, goal_of(place))
    return place


def _sides(
    config: CacheConfig,
    both: Iterable[Items],
    encoders: Mapping[str, Encoder],
    folder: Path,
    hashes: Mapping[str, str],
    *,
    is_first: bool,
) -> Iterator[Side]:
    for items in both:
        of = {slug: encoder for slug, encoder in encoders.items() if encoder.modality == items.modality}
        writers = {
            slug: store_writer_of(config, items, hashes[items.modality], slug, encoder, folder, is_first=is_first)
            for slug, encoder in of.items()
        }
        if of:
            yield Side(folder, items, of, writers)


def _tell_store(manifest: Manifest, folder: Path, *, was_there: bool) -> None:
    size = sum(shard.num_bytes for shard in manifest.shards) / 1e6
    console.print(
        f"  {manifest.modality}/{manifest.encoder}: {manifest.num_rows:,} × {manifest.dim} {manifest.dtype}, "
        f"{size:,.1f} MB{' (was there already)' if was_there else ''}"
    )
    if manifest.num_rejected:
        where = folder / manifest.modality / manifest.encoder / "quarantine.jsonl"
        console.print(f"  {manifest.num_rejected:,} items set aside: {where}", style="yellow")
