"""Before a long run: load what it needs, show the data as it is understood, estimate what it takes.

    fusemix check config.yaml [key=value …]

Takes the settings of cache_features; writes nothing.
"""

import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path

import torch
from rich.table import Column
from rich.text import Text

from fusemix.config import CacheConfig
from fusemix.disk.out_folder import require_writable, resolved
from fusemix.encoders.decoding import decode
from fusemix.errors import LatentStoreError
from fusemix.interfaces import Items, PairSet
from fusemix.progress import console, duration
from fusemix.tables import BOXED, terminal_table
from fusemix.visible import shown
from fusemix.wiring.caching.cache import fabric_of, pair_set_of, with_dtypes
from fusemix.wiring.caching.estimate import Estimate, estimates
from fusemix.wiring.caching.telling import tell_pairs

ROWS_SHOWN = 5


def main(config: CacheConfig, words: Sequence[str] = ()) -> list[Estimate]:
    """Check a caching run; returns what each encoder would take.

    Args:
        words: that said so on a command line, to be repeated without `dry_run`.

    Raises:
        FusemixError: what the run itself would raise at its start, or a disk that is too small.
    """
    for path in require_writable(resolved(config.out)):
        path.rmdir()
    fabric = fabric_of(config)
    config = with_dtypes(config, fabric)
    splits = {split: pair_set_of(config, split) for split in config.splits}
    for pairs in splits.values():
        _show(pairs)
    found = estimates(config, splits, fabric)
    _show_estimates(found, fabric.world_size, fabric.device)
    _require_room(Path(config.out), sum(e.num_bytes for e in found))
    typed = f"python cache_features.py {shlex.join(words)}"
    console.print(f"ready: {'the same command without dry_run' if config.dry_run else typed}")
    return found


def _show(pairs: PairSet) -> None:
    tell_pairs(pairs, None)
    for items in pairs.sides:
        columns = [Column("id", overflow="fold", ratio=2), Column("as it is understood", overflow="fold", ratio=3)]
        shown_rows = range(min(ROWS_SHOWN, len(items)))
        rows = [[items.table["id"][row].as_py(), _understood(items, row)] for row in shown_rows]
        title = f"{items.modality}, the first {len(shown_rows)}"
        console.print(terminal_table(title, columns, rows, frame=BOXED))


def _understood(items: Items, row: int) -> str | Text:
    try:
        content = decode(items.modality, items.read(row))
        if items.modality == "image":
            return f"{content.width} × {content.height} pixels"
        if items.modality == "audio":
            return f"{len(content.samples) / content.sample_rate:.2f} s at {content.sample_rate:,} Hz"
        return str(content)
    except Exception as error:  # shown, and in the run it would be set aside
        return Text(f"set aside: {type(error).__name__}: {shown(error)}", "yellow")


def _show_estimates(found: Sequence[Estimate], num_processes: int, device: torch.device) -> None:
    shared = f", {num_processes} processes" if num_processes > 1 else ""
    names = ("rows", "width", "batch", "disk", "rate", "time", "memory")
    rows = [
        [
            one.encoder,
            f"{one.num_rows:,}",
            str(one.dim),
            str(one.batch_size),
            f"{one.num_bytes / 1e6:,.1f} MB",
            f"{one.rate * num_processes:,.1f}/s",
            duration(one.seconds / num_processes),
            f"{one.memory_bytes / 2**30:.2f} GiB",
        ]
        for one in found
    ]
    columns = [Column("encoder"), *(Column(name, justify="right") for name in names)]
    title = f"what caching takes (encoders timed on {device}{shared})"
    console.print(terminal_table(title, columns, rows, frame=BOXED))


def _require_room(out: Path, num_bytes: int) -> None:
    there = next(path for path in (out, *out.absolute().parents) if path.exists())
    free = shutil.disk_usage(there).free
    if free < num_bytes:
        raise LatentStoreError(
            f"{out} needs {num_bytes / 1e9:,.1f} GB, but its disk has {free / 1e9:,.1f} GB left. Make room, choose "
            "another out, or store with dtype=float16."
        )
    console.print(f"disk: {num_bytes / 1e6:,.1f} MB of {free / 1e9:,.1f} GB that are free")
