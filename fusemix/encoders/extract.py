"""Run encoders over items, while workers read ahead and the device never waits for a copy.

Place in the flow: Items + Encoders -> latents, task by task.
Not here: reading and decoding (reading.py, preparing.py), shards and files (latents/writer.py).

What an item gives does not depend on the number of workers or processes, nor on whether an earlier run has done a part
of its task: batches are the same, and those that are done are passed over. A batch that does not fit into
memory is halved; an item that the model cannot take is set aside with its reason.
"""

import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from fusemix.encoders.copies import Copies
from fusemix.encoders.pooling import own_memory
from fusemix.encoders.preparing import Window, read_whole
from fusemix.encoders.reading import Piece, Task, cut_windows, rows_left, windows_ahead
from fusemix.encoders.trouble import is_of_the_device, is_out_of_memory, is_passing, one_line, patiently, stopped
from fusemix.errors import EncoderError
from fusemix.interfaces import Batch, Encoder, Items, Rejected
from fusemix.machine.environment import give_back_freed_memory, prepare_device


class Extracted(NamedTuple):
    """What an encoder gave for some rows of a task, in their order; a rejected item's row is NaN."""

    rows: Int64[np.ndarray, " rows"]
    latents: Float[np.ndarray, "rows dim"]
    rejected: tuple[Rejected, ...]


class Given(NamedTuple):
    """What encoders gave for a task, or for a part of it.

    Attributes:
        task: its place in the list of tasks.
        of: encoder -> its latents.
        is_last: whether the task is done with this.
        thumbnails: row -> what is seen of the item, where the task asks for that.
    """

    task: int
    of: dict[str, Extracted]
    is_last: bool
    thumbnails: dict[int, bytes]


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
    part_sec: float = math.inf,
) -> Iterator[Given]:
    """Encode tasks, in order; batches never reach across the end of a task.

    Args:
        items: one side of a pair set.
        encoders: by name, of the same modality, already on their device.
        tasks: rows and the encoders that want them; none is empty.
        batch_sizes: items in one pass of each encoder of the side; halved where memory does not suffice.
        num_workers: processes that read and decode.
        device: where the encoders are.
        advance: called with the number of rows just encoded and what was set aside among them; first with those that
            are done.
        seconds: receives what read, decode and prepare (summed over workers), encode and waiting took.
        part_sec: what was encoded is given after so many seconds, within a window only where it is one of texts, which
            are many; by default at the end of a task alone.

    Yields:
        For each task, what is not done of it, in one or several parts.

    Raises:
        EncoderError: not even one item fits into the device's memory, or a worker was ended or could not be started.
        MachineError: a disk, a network or a limit fails.
    """
    prepare_device(device)
    if num_workers:
        give_back_freed_memory()
    sizes = {name: torch.tensor(size).share_memory_() for name, size in batch_sizes.items()}
    run, pieces = _Run(items, encoders, sizes, device, Copies(device)), cut_windows(items.modality, tasks, sizes)
    left = [rows_left(items.modality, task, sizes) for task in tasks]
    windows = windows_ahead(items, encoders, pieces, sizes, num_workers=num_workers, device=device)
    parts = [{name: _Part() for name in task.encoders} for task in tasks]
    _tell_what_is_done(tasks, sum(left), advance)
    given_at = time.monotonic()

    def given(number: int, *, is_last: bool) -> Given:
        nonlocal given_at
        began, given_at = time.perf_counter(), time.monotonic()
        of = {name: part.taken(items, tasks[number].rows, encoders[name].dim) for name, part in parts[number].items()}
        seconds["encode"] += time.perf_counter() - began
        return Given(number, of, is_last, run.thumbnails.pop(number, {}))

    for number in range(len(tasks)):
        while left[number]:
            began = time.perf_counter()
            piece, window = next(windows)
            seconds["wait"] += time.perf_counter() - began
            for stage, duration in window.seconds.items():
                seconds[stage] += duration
            left[piece.task] -= len(piece.rows)
            batches = run.add_all(parts[piece.task], window, piece, tasks[piece.task], advance)
            for _ in _timed(batches, seconds):
                if items.modality == "text" and time.monotonic() - given_at >= part_sec:
                    yield given(number, is_last=False)
            if left[number] and time.monotonic() - given_at >= part_sec:
                yield given(number, is_last=False)
        yield given(number, is_last=True)


def _tell_what_is_done(
    tasks: Sequence[Task], num_left: int, advance: Callable[[int, Sequence[Rejected]], None]
) -> None:
    rejected = [item for task in tasks for done in task.done.values() for item in done.rejected]
    num_done = sum(len(task.rows) for task in tasks) - num_left
    if num_done or rejected:
        advance(num_done, rejected)


def _timed(batches: Iterator[int], seconds: defaultdict[str, float]) -> Iterator[int]:
    """The same, and what it takes to make them."""
    began = time.perf_counter()
    for count in batches:
        seconds["encode"] += time.perf_counter() - began
        yield count
        began = time.perf_counter()
    seconds["encode"] += time.perf_counter() - began


class _Begun:
    """Tells of a window batch by batch, so that a long one is seen to move, and at its end of all that it holds."""

    def __init__(self, num_rows: int, advance: Callable[[int, Sequence[Rejected]], None]) -> None:
        self._left, self._advance = num_rows, advance

    def encoded(self, num_rows: int) -> None:
        if 0 < num_rows < self._left:
            self._left -= num_rows
            self._advance(num_rows, [])

    def ended(self, rejected: Sequence[Rejected]) -> None:
        self._advance(self._left, rejected)


@dataclass
class _Part:
    """What one encoder has given of a task and was not handed on yet; latents stay on the device until then."""

    rows: list[int] = field(default_factory=list)
    latents: list[Tensor] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)

    def taken(self, items: Items, rows: range, dim: int) -> Extracted:
        """All of it, in the order of rows, whichever window came first; nothing of it is left here."""
        aside = _rows_of(items, rows, self.rejected)
        order = np.sort(np.array([*self.rows, *aside], dtype=np.int64))
        latents = np.full((len(order), dim), np.nan, dtype=np.float32)
        if self.rows:
            latents[np.searchsorted(order, self.rows)] = torch.cat(self.latents).float().cpu().numpy()
        rejected = [item for _, item in sorted(zip(aside, self.rejected, strict=True), key=lambda one: one[0])]
        self.rows, self.latents, self.rejected = [], [], []
        return Extracted(order, latents, tuple(rejected))


def _rows_of(items: Items, rows: Sequence[int], rejected: Sequence[Rejected]) -> list[int]:
    if not rejected:
        return []
    row_of = dict(zip(items.ids_at(rows), rows, strict=True))
    return [row_of[item.id] for item in rejected]


@dataclass(frozen=True)
class _Run:
    items: Items
    encoders: Mapping[str, Encoder]
    sizes: Mapping[str, Tensor]
    device: torch.device
    copies: Copies
    fresh: list[Rejected] = field(default_factory=list)
    thumbnails: defaultdict[int, dict[int, bytes]] = field(default_factory=lambda: defaultdict(dict))

    def add_all(
        self,
        parts: Mapping[str, _Part],
        window: Window,
        piece: Piece,
        task: Task,
        advance: Callable[[int, Sequence[Rejected]], None],
    ) -> Iterator[int]:
        """Encode a window for all of its encoders; `advance` is told of rows when the last of these has them."""
        self.thumbnails[piece.task] |= {piece.rows[place]: made for place, made in window.thumbnails.items()}
        begun = _Begun(len(piece.rows), advance)
        for name in piece.encoders:
            for count in self.add(parts[name], name, window, piece.rows, task):
                begun.encoded(count if name == piece.encoders[-1] else 0)
                yield count
        begun.ended(self.set_aside())

    def add(
        self, part: _Part, name: str, window: Window, rows: Sequence[int], task: Task | None = None
    ) -> Iterator[int]:
        """Encode one encoder's batches of a window, but for those that are done; gives the rows of each batch.

        Args:
            part: receives what they give.
            name: of the encoder.
            window: of the rows.
            rows: that it holds.
            task: which they are of; None where nothing of them is done.
        """
        mine = window.of[name]
        self._reject(part, name, [*window.rejected, *mine.rejected], rows, task)
        for places, batch in zip(mine.places, mine.batches, strict=True):
            chosen = [rows[place] for place in places]
            if task is None or not task.is_done(name, chosen):
                self._encode(part, name, batch, chosen)
            yield len(chosen)

    def set_aside(self) -> list[Rejected]:
        """What was set aside since this was last asked."""
        found = self.fresh.copy()
        self.fresh.clear()
        return found

    def _reject(
        self, part: _Part, name: str, rejected: list[Rejected], rows: Sequence[int], task: Task | None = None
    ) -> None:
        if task is not None and name in task.done:
            found = zip(_rows_of(self.items, rows, rejected), rejected, strict=True)
            rejected = [item for row, item in found if not task.is_done(name, [row])]
        part.rejected += rejected
        self.fresh.extend(rejected)

    def _encode(self, part: _Part, name: str, batch: Batch, rows: list[int]) -> None:
        try:
            part.latents.append(patiently(lambda: self._latents(name, batch, len(rows)), is_passing))
            part.rows += rows
            return
        except Exception as error:
            if is_of_the_device(error):
                raise
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
            self._reject(part, name, [Rejected(self._id(rows[0]), "encode", reason)], rows)

    def _id(self, row: int) -> str:
        return self.items.table["id"][row].as_py()

    def _latents(self, name: str, batch: Batch, num_rows: int) -> Tensor:
        encoder = self.encoders[name]
        with torch.inference_mode():
            latents = self.copies.encoded(encoder, batch, encoder.encode)
        if latents.shape != (num_rows, encoder.dim):
            raise ValueError(f"gave latents of shape {tuple(latents.shape)} for {num_rows} items")
        return own_memory(latents)

    def _encode_again(self, part: _Part, name: str, rows: list[int], is_too_much: bool) -> None:
        """Halve a batch that is too large for memory; find the item that spoils any other."""
        size = len(rows) // 2 if is_too_much else 1
        if is_too_much:
            self.sizes[name].clamp_(max=size)
            self.copies.release()
            if self.device.type == "cuda":
                torch.cuda.empty_cache()
        for some, window in read_whole(self.items, rows, {name: self.encoders[name]}, {name: size}):
            for _ in self.add(part, name, window, some):
                pass
