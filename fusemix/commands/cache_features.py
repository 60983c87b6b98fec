"""Stage 1: run frozen encoders once over a data set and keep their latents.

    python cache_features.py configs/cache/glyphs.yaml [key=value …]

Reads the data set; writes one latent set a split, in <out>/<split>/. A run that was killed goes on
where it stopped when the same command is given again.
"""

import time
from collections.abc import Sequence
from pathlib import Path

from fusemix.build import cache as build
from fusemix.config import CacheConfig, load_config, to_plain
from fusemix.encoders.extract import encode_spans
from fusemix.interfaces import Encoder, Items, PairSet
from fusemix.latents.manifest import Manifest
from fusemix.latents.sets import write_set
from fusemix.progress import console, progress_bar


def main(argv: Sequence[str]) -> list[Path]:
    """Cache all splits with all encoders; returns the folders of the latent sets."""
    config = load_config(CacheConfig, argv)
    splits = {split: build.pair_set(config, split) for split in config.splits}
    encoders = build.encoders(config, next(iter(splits.values())))
    folders = []
    for split, pairs in splits.items():
        folder = Path(config.out) / split
        write_set(folder, pairs, to_plain(config.dataset), overwrite=config.overwrite)
        _tell_pairs(pairs, folder)
        for items in pairs.sides:
            for slug, encoder in encoders.items():
                if encoder.modality == items.modality:
                    _cache(config, items, slug, encoder, folder)
        folders.append(folder)
    console.print(f"cached {', '.join(config.encoders)} over {', '.join(splits)} in {config.out}")
    return folders


def _cache(config: CacheConfig, items: Items, slug: str, encoder: Encoder, folder: Path) -> Manifest:
    writer = build.store_writer(config, items, slug, encoder, folder)
    missing = writer.missing()
    spans = [writer.spans[index] for index in missing]
    num_items = sum(len(span) for span in spans)
    started = time.monotonic()
    with progress_bar() as bar:
        task = bar.add_task(f"{folder.name} {items.modality} {slug}", total=num_items, note="")
        encoded = encode_spans(
            items,
            encoder,
            spans,
            batch_size=config.batch_size,
            num_workers=config.num_workers,
            advance=lambda count: bar.advance(task, count),
        )
        for index, part in zip(missing, encoded, strict=True):
            writer.write(index, part.latents, part.rejected)
    manifest = writer.seal()
    _tell_store(manifest, writer.folder, num_items, time.monotonic() - started)
    return manifest


def _tell_pairs(pairs: PairSet, folder: Path) -> None:
    sides = " and ".join(f"{len(items):,} {items.modality} items" for items in pairs.sides)
    console.print(f"{pairs.dataset}/{pairs.split}: {sides}, {len(pairs.links):,} links")
    if pairs.excluded:
        first = pairs.excluded[0]
        console.print(
            f"  left out {len(pairs.excluded):,} entries, such as {first.id}: {first.reason} "
            f"(all in {folder / 'quarantine.jsonl'})",
            style="yellow",
        )


def _tell_store(manifest: Manifest, folder: Path, num_items: int, seconds: float) -> None:
    size = sum(shard.num_bytes for shard in manifest.shards) / 1e6
    done = f"{num_items:,} new in {seconds:.1f} s, {num_items / max(seconds, 1e-9):,.0f}/s" if num_items else "no new"
    console.print(
        f"  {manifest.modality}/{manifest.encoder}: {manifest.num_rows:,} × {manifest.dim} {manifest.dtype}, "
        f"{size:,.1f} MB ({done})"
    )
    if manifest.num_rejected:
        console.print(f"  {manifest.num_rejected:,} items set aside: {folder / 'quarantine.jsonl'}", style="yellow")
