"""Make an index of a folder of pictures or sounds, or of a latent set, or add to one.

    fusemix index --model RUN --data FOLDER --out FOLDER
    fusemix index --model RUN --latents SET --out FOLDER

Reads a trained model and the data; writes index.json, items.lance/, seals.json and quarantine.jsonl to <out>. Given
again, it adds what is new.
"""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.prompt import Confirm

from fusemix.config import IndexConfig
from fusemix.disk.locks import one_writer
from fusemix.disk.out_folder import require_writable
from fusemix.errors import DatasetError
from fusemix.interfaces import Rejected
from fusemix.progress import console, counting, duration
from fusemix.search.description import QUARANTINE, Description
from fusemix.search.folder import Index
from fusemix.search.state import FLAT_BELOW
from fusemix.visible import shown
from fusemix.wiring.searching.editing import relocate, remove
from fusemix.wiring.searching.index_plan import Indexing, indexing_of
from fusemix.wiring.searching.indexing import run_indexing, settle
from fusemix.wiring.searching.rehearsal import seconds_of_indexing
from fusemix.wiring.searching.shares import shares_of_modalities


def main(config: IndexConfig) -> Path:
    """Embed what is new, and add it; returns the index folder."""
    if config.dry_run:
        return _rehearse(config)
    with one_writer(config.out, doing="index", wait_sec=config.wait_sec):
        if config.remove or config.relocate:
            return _edit(config, Path(config.out))
        return _index(config, Path(config.out))


def _edit(config: IndexConfig, out: Path) -> Path:
    """Items that leave, folders that lie elsewhere: neither model nor data are needed."""
    if config.relocate:
        console.print(f"{out} looks for its items in {', '.join(relocate(out, config.relocate))}")
    if config.remove:
        gone = remove(out, config.remove)
        console.print(f"removed {len(gone):,} items; they do not come back when their folder is given again")
    return out


def _rehearse(config: IndexConfig) -> Path:
    """Say what would be embedded and how long it takes; nothing is written."""
    out = Path(config.out)
    for path in require_writable(out.resolve()):
        path.rmdir()
    indexing = indexing_of(config)
    _say_what_comes(indexing)
    if indexing.num_new:
        time = duration(seconds_of_indexing(indexing))
        console.print(f"{indexing.num_new:,} items to embed on {indexing.embedder.device}: about {time}")
    console.print(f"dry run: nothing was written to {out}")
    return out


def _index(config: IndexConfig, out: Path) -> Path:
    indexing = indexing_of(config)
    _say_what_comes(indexing)
    _require_agreed(indexing)
    if not indexing.has_news and indexing.place == out:
        _say_what_is_aside(out, settle(indexing))
        console.print(f"nothing new; {out} has {_counts(out)}")
        return out
    with counting("items embedded", indexing.num_new) as advance:
        description, rejected = run_indexing(indexing, advance)
    _say_what_is_aside(out, rejected)
    _say_how_it_is_searched(description)
    for line in shares_of_modalities(out, indexing.embedder.trained):
        console.print(line)
    console.print(f'index: {out}, {_counts(out)}; search it: fusemix search "…" --index {shlex.quote(str(out))}')
    return out


def _say_what_comes(indexing: Indexing) -> None:
    for task in indexing.tasks:
        origin = task.collection.origin
        notes, changes = "; ".join(task.collection.notes), task.changes
        also = {"changed": len(changes.changed), "gone": len(changes.vanished)}
        console.print(
            f"{origin['path']}: {len(task.collection.items):,} {origin['modality']} items, {len(changes.new):,} new"
            f"{''.join(f', {count:,} {what}' for what, count in also.items() if count)}{f' ({notes})' if notes else ''}"
        )
    if out := sum(task.changes.num_removed for task in indexing.tasks):
        console.print(
            f"{out:,} items stay out, since they were removed; an index that is made anew (--overwrite) has them again"
        )


def _require_agreed(indexing: Indexing) -> None:
    """Ask before most of what a folder held leaves the index, since it may be unmounted, or half copied.

    Raises:
        DatasetError: nobody agrees.
    """
    for task in indexing.tasks:
        gone, held, path = len(task.changes.vanished), task.changes.num_held, task.collection.origin["path"]
        if indexing.config.remove_most or 2 * gone <= held:
            continue
        told = f"{gone:,} of {held:,} items of {path} are gone"
        if sys.stdin.isatty() and Confirm.ask(f"{told}. Remove them from the index?", console=console, default=False):
            continue
        raise DatasetError(
            f"{told}, more than half; is it mounted, and whole? Nothing was changed. To let them leave the index, give "
            "the same command with --remove-most."
        )


def _say_what_is_aside(out: Path, rejected: Sequence[Rejected]) -> None:
    if rejected:
        first = f"{shown(rejected[0].id)}: {shown(rejected[0].reason)}"
        console.print(f"set aside: {len(rejected):,}, listed in {out / QUARANTINE}; the first: {first}")


def _say_how_it_is_searched(description: Description) -> None:
    """Which kind of index was chosen, and what it finds."""
    if not description.depths:
        rounded = "" if description.precision == "float32" else f", but for rounding to {description.precision}"
        console.print(f"  each item is compared, so search is exact{rounded}")
        return
    console.print(
        f"  {FLAT_BELOW:,} items or more are slow to compare one by one; what searches find of the exact first:"
    )
    for depth in description.depths:
        found = ", ".join(f"{share:.1%} asked by {modality}" for modality, share in depth.found.items())
        looks = f"a query looks at {depth.probes} lists, and then at {depth.candidates:,} vectors"
        console.print(f"  {depth.k:>5,}: {found} ({looks})")


def _counts(folder: Path) -> str:
    return " and ".join(f"{count:,} {modality} items" for modality, count in sorted(Index(folder).counts.items()))
