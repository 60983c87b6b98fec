"""Take latents that exist already into sealed stores, so that nothing is encoded twice.

    fusemix import latents=FOLDER modality=image name=my_encoder vectors=file.npy ids=ids.txt
    fusemix import clip_retrieval=FOLDER out=FOLDER dataset=my_data split=train

The first fills one side of a latent set; the second makes a whole set, <out>/<split>. An import that was
killed goes on when the same command is given again.
"""

import time
from pathlib import Path

from fusemix.config import ImportConfig
from fusemix.disk.locks import one_writer
from fusemix.interfaces import PairSet
from fusemix.latents.embeddings_folder import EmbeddingsFolder
from fusemix.latents.foreign import fill_store
from fusemix.latents.records import read_quarantine
from fusemix.latents.set_writer import replace_set, write_set
from fusemix.progress import console, progress_bar
from fusemix.visible import shown
from fusemix.wiring.caching.import_latents import Import, import_into_set, imports_of_layout, paired_rows, source_of

SHOWN = 3


def main(config: ImportConfig) -> list[Path]:
    """Fill the stores; returns their folders."""
    folder = config.latents or Path(str(config.out)) / str(config.split)
    with one_writer(folder, doing="import", wait_sec=config.wait_sec):
        return _import(config)


def _import(config: ImportConfig) -> list[Path]:
    imports = _whole_set(config, Path(config.clip_retrieval)) if config.clip_retrieval else [import_into_set(config)]
    for one in imports:
        _fill(one)
    replace_set(imports[0].set_folder)
    if config.made_by is None:
        text = "made_by is not set: only the width tells these latents from those of another encoder"
        console.print(text, style="yellow")
    return [one.goal for one in imports]


def _whole_set(config: ImportConfig, source: Path) -> list[Import]:
    found = EmbeddingsFolder(source)
    made = paired_rows(found, str(config.dataset), str(config.split))
    out = Path(str(config.out)) / str(config.split)
    folder = write_set(out, made.pairs, source_of(config), overwrite=config.overwrite)
    _tell_set(made.pairs, len(found.metadata), out)
    return imports_of_layout(config, found, made, folder)


def _fill(one: Import) -> None:
    total = sum(len(one.writer.spans[index]) for index in one.writer.missing())
    started = time.monotonic()
    with progress_bar() as bar:
        task = bar.add_task(f"import {one.goal.name}", total=total, note="")
        rows = one.matched.rows
        fill_store(one.writer, one.item_ids, one.vectors, rows, advance=lambda count: bar.advance(task, count))
    manifest = one.writer.seal()
    names = [file.name for file in one.vectors.files]
    if len(names) > 1:
        some = names if len(names) <= 2 * SHOWN else [*names[:SHOWN], "…", names[-1]]
        console.print(f"  {len(names):,} files in this order: {', '.join(some)}")
    seconds = time.monotonic() - started
    console.print(
        f"  {manifest.modality}/{manifest.encoder}: {manifest.num_rows:,} × {manifest.dim} {manifest.dtype} "
        f"({f'{total:,} new in {seconds:.1f} s' if total else 'no new'}): {one.goal}"
    )
    if one.matched.unknown:
        some = ", ".join(map(shown, one.matched.unknown[:SHOWN]))
        text = f"  {len(one.matched.unknown):,} ids are no items of the set, such as {some}"
        console.print(text, style="yellow")
    if len(one.matched.repeats):
        console.print(f"  {len(one.matched.repeats):,} rows repeat an item with the same vector")
    if manifest.num_rejected:
        first = read_quarantine(one.writer.folder)[0]
        console.print(
            f"  {manifest.num_rejected:,} items set aside, such as {shown(first.id)}: {shown(first.reason)} "
            f"(all in {one.goal / 'quarantine.jsonl'})",
            style="yellow",
        )


def _tell_set(pairs: PairSet, num_rows: int, folder: Path) -> None:
    sides = " and ".join(f"{len(items):,} {items.modality} items" for items in pairs.sides)
    console.print(f"{pairs.dataset}/{pairs.split}: {num_rows:,} rows, {sides}, {len(pairs.links):,} links: {folder}")
    if pairs.excluded:
        first = pairs.excluded[0]
        text = f"  left out {len(pairs.excluded):,}, such as {shown(first.id)}: {shown(first.reason)}"
        console.print(text, style="yellow")
