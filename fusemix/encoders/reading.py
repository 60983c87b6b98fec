"""Worker processes that read ahead, and what may befall them: a limit, a kill, a disk that is away.

Place in the flow: tasks -> pieces that are read together -> windows, in the process of the encoders.
Not here: reading and decoding itself (preparing.py), how a window crosses (handover.py).

Workers are forked on Linux, whatever Python's own default is: they start in milliseconds, share the encoders' memory,
and an encoder of one's own need not be picklable. Elsewhere the system's own way is taken; there an encoder is pickled,
without the weights of its networks (weightless.py).
"""

import multiprocessing
import pickle
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from fusemix.encoders.handover import Parcel, packed, unpacked
from fusemix.encoders.preparing import Window, read_window
from fusemix.encoders.trouble import one_line
from fusemix.encoders.weightless import without_weights
from fusemix.encoders.workers import LOOK_SEC, allow_open_files, begin, begin_behind_the_encoder, received
from fusemix.errors import EncoderError, FusemixError, MachineError
from fusemix.interfaces import Encoder, Items, Rejected

TEXTS_SORTED_TOGETHER, BATCHES_SORTED_TOGETHER = 4096, 16
"""A window of texts is at least so many, and so many batches, so that those of a batch are of like length."""
FEW = 32
"""A window of pictures or sounds is at most so many, or one batch, to hand them over soon."""
LONG_WAIT_SEC = 1.0
"""An encoder that waited so long for a window gets workers that do not step back."""
START_METHOD = "fork" if sys.platform == "linux" else None
"""How workers are started; None is Python's own way on this system."""
AHEAD = 2
"""Windows that each worker reads ahead."""


class Done(NamedTuple):
    """What an earlier run has done of a task for one encoder: which of its rows, and what was set aside of these."""

    is_done: Bool[np.ndarray, " rows"]
    rejected: tuple[Rejected, ...] = ()


class Task(NamedTuple):
    """Consecutive rows, the names of the encoders that they are read for, and what of it is done, by encoder.

    `thumbnails` says whether they are made, too.
    """

    rows: range
    encoders: tuple[str, ...]
    done: Mapping[str, Done] = {}  # never changed
    thumbnails: bool = False

    def is_done(self, name: str, rows: Sequence[int]) -> bool:
        """Whether an earlier run has done all of some rows for an encoder."""
        if name not in self.done:
            return False
        return bool(self.done[name].is_done[np.asarray(rows) - self.rows.start].all())


class Piece(NamedTuple):
    """Rows of one task that are read together.

    Attributes:
        task: its place in the list of tasks.
        rows: of the side.
        encoders: names.
        thumbnails: whether they are made, too.
    """

    task: int
    rows: range
    encoders: tuple[str, ...]
    thumbnails: bool = False


def windows_ahead(
    items: Items,
    encoders: Mapping[str, Encoder],
    pieces: Iterable[Piece],
    sizes: Mapping[str, Tensor],
    *,
    num_workers: int,
    device: torch.device,
) -> Iterator[tuple[Piece, Window]]:
    """The windows of all tasks, each with what it is of; none reaches across the end of a task.

    They come in order, but for what did not fit into a window: that comes later. What is in a window does not depend on
    the number of workers.

    Args:
        items: one side of a pair set.
        encoders: by name.
        pieces: what to read, as `cut_windows` cuts it.
        sizes: items in one batch of each encoder, in shared memory: a smaller size set while this runs counts
            for windows that are not read yet.
        num_workers: processes that read ahead; 0 reads in this one.
        device: of the encoders. For a GPU, batches are copied to page-locked memory, from which it fetches them while
            it computes. Beside a CPU, workers step back behind the encoder; where it waits long for one of them, since
            others keep the machine busy, workers that do not step back take over.

    Raises:
        MachineError: a disk, a network or a limit fails.
        EncoderError: a worker was ended from outside or could not be started, or what it had read was lost.
    """
    queue, steps_back = _Queue(pieces), device.type == "cpu"
    if num_workers == 0:
        for _, piece in queue:
            window = _window(items, piece, encoders, sizes)
            yield queue.arrived(window), window
        return
    allow_open_files()
    finished = torch.full((2 * AHEAD * num_workers,), -1).share_memory_()
    reading = _Windows(items, encoders, sizes, finished)
    while queue.has_more:
        loader = _started(reading, queue, num_workers, pins=device.type == "cuda", steps_back=steps_back)
        waited = 0.0
        while queue.read_now and not (steps_back and waited > LONG_WAIT_SEC):
            started = time.perf_counter()
            number, piece = queue.read_now[0]
            parcel = received(
                loader,
                lambda number=number: int(finished[number % len(finished)]) == number,
                f"{len(piece.rows)} items from row {piece.rows.start:,} on",
                leaves=steps_back,
            )
            waited = time.perf_counter() - started
            if parcel is None:
                break
            window = unpacked(parcel)
            yield queue.arrived(window), window
        queue.take_back()
        steps_back = False


def cut_windows(modality: str, tasks: Iterable[Task], sizes: Mapping[str, int | Tensor]) -> Iterator[Piece]:
    """Cut each task in windows of one batch, then two, four and more, so that the encoder can begin soon.

    Where they are cut depends on nothing but the task's rows and the largest size, whichever encoders want the task; a
    window is left out where all of it is done. A task is cut when its turn comes: of 400 million pictures there are
    twelve million windows.

    Args:
        modality: of the items.
        tasks: what to read.
        sizes: items in one batch of each encoder of the side, also of those that have nothing to do; as they are now.
    """
    size = max(map(int, sizes.values()))
    most = max(TEXTS_SORTED_TOGETHER, BATCHES_SORTED_TOGETHER * size) if modality == "text" else FEW
    return chain.from_iterable(_cut(number, task, size, most) for number, task in enumerate(tasks))


def _cut(number: int, task: Task, step: int, most: int) -> Iterator[Piece]:
    rows, at = task.rows, 0
    while at < len(rows):
        window = rows[at : at + step]
        if not all(task.is_done(name, window) for name in task.encoders):
            yield Piece(number, window, task.encoders, task.thumbnails)
        at += step
        step = step * 2 if step * 2 <= most else step


def rows_left(modality: str, task: Task, sizes: Mapping[str, int | Tensor]) -> int:
    """Rows of a task that `cut_windows` gives."""
    return sum(len(piece.rows) for piece in cut_windows(modality, [task], sizes)) if task.done else len(task.rows)


class _Queue:
    """What is still to be read, numbered as it is given out: the loader's sampler."""

    def __init__(self, pieces: Iterable[Piece]) -> None:
        self._left, self._next = iter(pieces), 0
        self.waiting, self.read_now = deque[Piece](), deque[tuple[int, Piece]]()

    @property
    def has_more(self) -> bool:
        """Whether something is still to be given out."""
        if not self.waiting:
            self.waiting.extend(islice(self._left, 1))
        return bool(self.waiting)

    def __iter__(self) -> "_Queue":
        return self

    def __next__(self) -> tuple[int, Piece]:
        if not self.has_more:
            raise StopIteration
        self.read_now.append((self._next, self.waiting.popleft()))
        self._next += 1
        return self.read_now[-1]

    def arrived(self, window: Window) -> Piece:
        """What the oldest window holds; the rest of its piece comes next, in pieces as large."""
        _, piece = self.read_now.popleft()
        rest, step = piece.rows[window.num_rows :], window.num_rows
        left = [piece._replace(rows=rest[at : at + step]) for at in range(0, len(rest), step)]
        self.waiting.extendleft(reversed(left))
        return piece._replace(rows=piece.rows[: window.num_rows])

    def take_back(self) -> None:
        """What was given out and has not arrived is to be read again."""
        self.waiting.extendleft(piece for _, piece in reversed(self.read_now))
        self.read_now.clear()


@dataclass(frozen=True)
class _Windows(Dataset):
    """What a worker does: a numbered piece -> its window, as a parcel; or what ends the run."""

    items: Items
    encoders: Mapping[str, Encoder]
    sizes: Mapping[str, Tensor]
    finished: Tensor

    def __getitem__(self, numbered: tuple[int, Piece]) -> Parcel | FusemixError:
        number, piece = numbered
        try:
            return _packed(_window(self.items, piece, self.encoders, self.sizes))
        except FusemixError as error:
            return error
        finally:
            self.finished[number % len(self.finished)] = number

    def __reduce__(self) -> tuple[Any, ...]:
        """For workers that are not forked."""
        return _rebuilt, (without_weights((self.items, self.encoders)), self.sizes, self.finished)


def _window(items: Items, piece: Piece, encoders: Mapping[str, Encoder], sizes: Mapping[str, Tensor]) -> Window:
    wanted = {name: encoders[name] for name in piece.encoders}
    return read_window(items, piece.rows, wanted, sizes, thumbnails=piece.thumbnails)


def _rebuilt(content: bytes, sizes: Mapping[str, Tensor], finished: Tensor) -> _Windows:
    items, encoders = pickle.loads(content)
    return _Windows(items, encoders, sizes, finished)


def _packed(window: Window) -> Parcel:
    try:
        return packed(window)
    except (OSError, RuntimeError) as error:
        raise MachineError(
            f"a worker cannot hand over what it has read: {one_line(error)}. Allow more open files (ulimit -n 65536) "
            "or more shared memory (docker run --shm-size=8g), or set fewer num_workers. The same command goes on "
            "where it stopped."
        ) from error
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise EncoderError(
            f"what an encoder's `collate` gives cannot go from a worker to the encoder: {one_line(error)}. Let it "
            "give tensors in dicts, tuples or lists, or set num_workers=0."
        ) from error


def _started(reading: _Windows, queue: _Queue, num_workers: int, *, pins: bool, steps_back: bool) -> Iterator[Any]:
    loader = DataLoader(
        reading,
        batch_size=None,
        sampler=queue,  # pyright: ignore[reportArgumentType]: it is asked for the next one, and never for its length
        collate_fn=_as_it_is,
        num_workers=num_workers,
        prefetch_factor=AHEAD,
        pin_memory=pins,
        timeout=LOOK_SEC,
        worker_init_fn=begin_behind_the_encoder if steps_back else begin,
        multiprocessing_context=multiprocessing.get_context(START_METHOD),
        generator=torch.Generator(),  # without one, it would draw from the global state
    )
    try:
        return iter(loader)
    except OSError as error:
        raise MachineError(
            f"num_workers={num_workers} processes cannot be started: {one_line(error)}. Set fewer, or allow "
            "more open files (ulimit -n 65536) and processes (ulimit -u). The same command goes on where it stopped."
        ) from error
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise EncoderError(
            f"the data set or an encoder cannot be handed to another process: {one_line(error)}. Set num_workers=0, or "
            "let it be picklable."
        ) from error


def _as_it_is(window: Any) -> Any:
    return window
