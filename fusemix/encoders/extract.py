"""Run encoders over items, while workers read ahead and the device never waits for a copy.

Place in the flow: Items + Encoders -> latents, task by task.
Not here: reading and decoding (reading.py, preparing.py), shards and files (latents/writer.py).

What an item gives does not depend on the number of workers or processes. A batch that does not fit into
memory is halved; an item that the model cannot take is set aside with its reason.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from fusemix.encoders.pooling import own_memory
from fusemix.encoders.preparing import Window, read_whole
from fusemix.encoders.reading import Task, windows_ahead
from fusemix.encoders.trouble import is_out_of_memory, is_passing, one_line, patiently, stopped
from fusemix.errors import EncoderError
from fusemix.interfaces import Batch, Encoder, Items, Rejected


class Extracted(NamedTuple):
    """What an encoder gave for the rows of a task; a rejected item's row is NaN."""

    latents: Float[np.ndarray, "rows dim"]
    rejected: tuple[Rejected, ...]


def extract(
    items: Items,
    encoders: Mapping[str, Encoder],
    tasks: Sequence[Task],
    *,
    batch_sizes: Mapping[str, int],
    num_workers: int,
    device: torch.device,
    advance: Callable[[int, Sequence[Rejected]], None],
    seconds: defaultdict[str, float],
) -> Iterator[dict[str, Extracted]]:
    """Encode tasks, in order; batches never reach across the end of a task.

    Args:
        items: one side of a pair set.
        encoders: by name, of the same modality, already on their device.
        tasks: rows and the encoders that want them; none is empty.
        batch_sizes: items in one pass of each encoder that a task names; halved where memory does not suffice.
        num_workers: processes that read and decode.
        device: where the encoders are.
        advance: called with the number of rows just encoded and what was set aside among them.
        seconds: receives what read, decode and prepare (summed over workers), encode and waiting took.

    Yields:
        For each task, encoder -> its latents.

    Raises:
        EncoderError: not even one item fits into the device's memory, or a worker was ended or could not be started.
        MachineError: a disk, a network or a limit fails.
    """
    sizes = {name: torch.tensor(size).share_memory_() for name, size in batch_sizes.items()}
    run = _Run(items, encoders, sizes, device)
    windows = windows_ahead(items, encoders, tasks, sizes, num_workers=num_workers, device=device)
    parts = [{name: _Part() for name in task.encoders} for task in tasks]
    left = [len(task.rows) for task in tasks]
    for place, (rows, names) in enumerate(tasks):
        while left[place]:
            started = time.perf_counter()
            piece, window = next(windows)
            fetched = time.perf_counter()
            mine = parts[piece.task]
            fresh = [item for name in piece.encoders for item in run.add(mine[name], name, window, piece.rows)]
            left[piece.task] -= len(piece.rows)
            spent = {**window.seconds, "wait": fetched - started, "encode": time.perf_counter() - fetched}
            for stage, duration in spent.items():
                seconds[stage] += duration
            advance(len(piece.rows), fresh)
        fetched = time.perf_counter()
        extracted = {name: parts[place][name].gathered(items, rows, encoders[name].dim) for name in names}
        parts[place].clear()
        seconds["encode"] += time.perf_counter() - fetched
        yield extracted


@dataclass
class _Part:
    """What one encoder has given so far of a task; latents stay on the device until the task is done."""

    rows: list[int] = field(default_factory=list)
    latents: list[Tensor] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)

    def gathered(self, items: Items, rows: range, dim: int) -> Extracted:
        """All of a task; what was set aside in the order of rows, whichever window came first."""
        latents = np.full((len(rows), dim), np.nan, dtype=np.float32)
        if self.rows:
            latents[np.array(self.rows) - rows.start] = torch.cat(self.latents).float().cpu().numpy()
        rejected = self.rejected
        if rejected:
            places = {
                item: place for place, item in enumerate(items.table["id"].slice(rows.start, len(rows)).to_pylist())
            }
            rejected = sorted(rejected, key=lambda item: places[item.id])
        return Extracted(latents, tuple(rejected))


@dataclass(frozen=True)
class _Run:
    items: Items
    encoders: Mapping[str, Encoder]
    sizes: Mapping[str, Tensor]
    device: torch.device

    def add(self, part: _Part, name: str, window: Window, rows: Sequence[int]) -> list[Rejected]:
        """Encode one encoder's batches of a window; returns what was set aside."""
        before = len(part.rejected)
        mine = window.of[name]
        part.rejected += [*window.rejected, *mine.rejected]
        for places, batch in zip(mine.places, mine.batches, strict=True):
            self._encode(part, name, batch, [rows[place] for place in places])
        return part.rejected[before:]

    def _encode(self, part: _Part, name: str, batch: Batch, rows: list[int]) -> None:
        try:
            part.latents.append(patiently(lambda: self._latents(name, batch, len(rows)), is_passing))
            part.rows += rows
            return
        except torch.AcceleratorError:  # the device's fault, and no item is to blame
            raise
        except Exception as error:
            if is_passing(error):
                raise stopped(self._id(rows[0]), "encode", error) from error
            is_too_much, reason = is_out_of_memory(error), one_line(error)
        if len(rows) > 1:  # not within `except`, where the error would keep the memory of the failed pass
            self._encode_again(part, name, rows, is_too_much)
        elif is_too_much:
            raise EncoderError(
                f"encoders.{name}: not even one item fits into the memory of {self.device}: {reason} "
                "Use a smaller model, dtype=bfloat16, or another device."
            )
        else:
            part.rejected.append(Rejected(self._id(rows[0]), "encode", reason))

    def _id(self, row: int) -> str:
        return self.items.table["id"][row].as_py()

    def _latents(self, name: str, batch: Batch, num_rows: int) -> Tensor:
        with torch.inference_mode():
            latents = self.encoders[name].encode(batch)
        if latents.shape != (num_rows, self.encoders[name].dim):
            raise ValueError(f"gave latents of shape {tuple(latents.shape)} for {num_rows} items")
        return own_memory(latents)

    def _encode_again(self, part: _Part, name: str, rows: list[int], is_too_much: bool) -> None:
        """Halve a batch that is too large for memory; find the item that spoils any other."""
        size = len(rows) // 2 if is_too_much else 1
        if is_too_much:
            self.sizes[name].clamp_(max=size)
            if self.device.type == "cuda":
                torch.cuda.empty_cache()
        for some, window in read_whole(self.items, rows, {name: self.encoders[name]}, {name: size}):
            self.add(part, name, window, some)
