"""Read, decode and prepare runs of items ahead of the encoders, in worker processes.

Place in the flow: Items -> windows of collated batches, one reading and decoding for all encoders.
Not here: running a model (extract.py).

A bad item is set aside with its stage and reason, and never ends the run.
"""

import contextlib
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from fusemix.encoders.decoding import decode, resample
from fusemix.encoders.priority import step_back, unhindered_time
from fusemix.interfaces import Batch, Content, Encoder, Items, Prepared, Rejected

ADDRESS = re.compile(r" at 0x[0-9a-f]+")
TEXTS_SORTED_TOGETHER, BATCHES_SORTED_TOGETHER = 4096, 16
"""A window of texts is at least so many, and so many batches, so that those of a batch are of like length."""
FEW = 32
"""A window of pictures or sounds is at most so many, or one batch, to hand them over soon."""
LONG_WAIT_SEC = 1.0
"""An encoder that waited so long for a window gets workers that do not step back."""


class Task(NamedTuple):
    """Consecutive rows, and the names of the encoders that they are read for."""

    rows: range
    encoders: tuple[str, ...]


class Batches(NamedTuple):
    """What one encoder gets of a window.

    Attributes:
        places: for each batch, where its items stand in the window.
        batches: collated.
        rejected: items that this encoder could not prepare.
    """

    places: list[list[int]]
    batches: list[Batch]
    rejected: list[Rejected]


class Window(NamedTuple):
    """Some rows, read and decoded once.

    Attributes:
        num_rows: the unusable ones included.
        of: encoder -> its batches.
        rejected: items that could not be read or decoded, for whatever encoder.
        seconds: what read took, without waiting for a core, and the computing time of decode and prepare.
    """

    num_rows: int
    of: dict[str, Batches]
    rejected: list[Rejected]
    seconds: dict[str, float]


def read_window(
    items: Items, rows: Sequence[int], encoders: Mapping[str, Encoder], sizes: Mapping[str, int | Tensor]
) -> Window:
    """Read some rows and make batches of them.

    Args:
        items: one side of a pair set.
        rows: of that side, in any order.
        encoders: by name; each gets batches of its own out of one decoding.
        sizes: items in one batch of each encoder.
    """
    seconds: dict[str, float] = dict.fromkeys(("read", "decode", "prepare"), 0.0)
    started = unhindered_time()
    decoded = _decoded(items, rows, seconds)
    seconds["read"] = max(0.0, unhindered_time() - started - seconds["decode"])
    started = time.thread_time()
    at_rate: dict[int | None, _Decoded] = {None: decoded._replace(rejected=[])}
    of = {}
    for name, encoder in encoders.items():
        rate = encoder.sample_rate if items.modality == "audio" else None
        if rate is not None and rate not in at_rate:
            at_rate[rate] = _resampled(decoded, rate)
        of[name] = _batches(encoder, at_rate[rate], int(sizes[name]))
    seconds["prepare"] += time.thread_time() - started
    return Window(len(rows), of, decoded.rejected, seconds)


def prepared_sample(items: Items, encoder: Encoder, rows: Sequence[int]) -> list[Prepared]:
    """Some items as the encoder's `prepare` gives them; unusable ones are passed over."""
    decoded = _decoded(items, rows, {"decode": 0.0})
    if encoder.sample_rate and items.modality == "audio":
        decoded = _resampled(decoded, encoder.sample_rate)
    return _prepared(encoder, decoded, [])[0]


class _Decoded(NamedTuple):
    contents: list[Content]
    places: list[int]
    ids: list[str]
    rejected: list[Rejected]


def _decoded(items: Items, rows: Sequence[int], seconds: dict[str, float]) -> _Decoded:
    decoded = _Decoded([], [], [], [])
    for place, row in enumerate(rows):
        stage = "read"
        item = items.table["id"][row].as_py()
        try:
            raw = items.read(row)
            stage = "decode"
            with _timed(seconds, stage):
                content = decode(items.modality, raw)
        except Exception as error:  # a decoder may raise anything, and one bad item must not end the run
            decoded.rejected.append(Rejected(item, stage, one_line(error)))
        else:
            decoded.contents.append(content)
            decoded.places.append(place)
            decoded.ids.append(item)
    return decoded


@contextlib.contextmanager
def _timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    started = time.thread_time()
    try:
        yield
    finally:
        seconds[stage] += time.thread_time() - started


def _resampled(decoded: _Decoded, rate: int) -> _Decoded:
    kept = _Decoded([], [], [], [])
    for wave, place, item in zip(decoded.contents, decoded.places, decoded.ids, strict=True):
        try:
            kept.contents.append(resample(wave, rate))
        except Exception as error:
            kept.rejected.append(Rejected(item, "decode", one_line(error)))
        else:
            kept.places.append(place)
            kept.ids.append(item)
    return kept


def _batches(encoder: Encoder, decoded: _Decoded, size: int) -> Batches:
    rejected = list(decoded.rejected)
    prepared, kept = _prepared(encoder, decoded, rejected)
    by_length = sorted(range(len(kept)), key=lambda i: encoder.length(prepared[i]))
    made = Batches([], [], rejected)
    for at in range(0, len(by_length), size):
        chosen = by_length[at : at + size]
        _collate(made, encoder, [prepared[i] for i in chosen], [kept[i] for i in chosen], decoded)
    return made._replace(places=[[decoded.places[i] for i in group] for group in made.places])


def _prepared(encoder: Encoder, decoded: _Decoded, rejected: list[Rejected]) -> tuple[list[Prepared], list[int]]:
    """What could be prepared, and where it stands in `decoded`."""
    if not decoded.contents:
        return [], []
    with contextlib.suppress(Exception):
        return encoder.prepare(decoded.contents), list(range(len(decoded.contents)))
    prepared, kept = [], []
    for i, content in enumerate(decoded.contents):  # find out which one it was
        try:
            prepared += encoder.prepare([content])
            kept.append(i)
        except Exception as error:
            rejected.append(Rejected(decoded.ids[i], "prepare", one_line(error)))
    return prepared, kept


def _collate(made: Batches, encoder: Encoder, prepared: list[Prepared], chosen: list[int], decoded: _Decoded) -> None:
    """Add a batch of the chosen, or where they do not go together, batches of one."""
    try:
        made.batches.append(encoder.collate(prepared))
        made.places.append(chosen)
    except Exception as error:
        if len(chosen) == 1:
            made.rejected.append(Rejected(decoded.ids[chosen[0]], "prepare", one_line(error)))
            return
        for item, i in zip(prepared, chosen, strict=True):
            _collate(made, encoder, [item], [i], decoded)


@dataclass(frozen=True)
class _Windows(Dataset):
    """Element i is the i-th window, read."""

    items: Items
    encoders: Mapping[str, Encoder]
    windows: list[Task]
    sizes: Mapping[str, Tensor]

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, index: int) -> Window:
        rows, names = self.windows[index]
        return read_window(self.items, rows, {name: self.encoders[name] for name in names}, self.sizes)


def windows_ahead(
    items: Items,
    encoders: Mapping[str, Encoder],
    tasks: Sequence[Task],
    sizes: Mapping[str, Tensor],
    *,
    num_workers: int,
    device: torch.device,
) -> Iterator[Window]:
    """The windows of all tasks, in order; none reaches across the end of a task.

    Args:
        items: one side of a pair set.
        encoders: by name.
        tasks: what to read.
        sizes: items in one batch of each encoder, in shared memory: a smaller size set while this runs counts
            for windows that are not read yet.
        num_workers: processes that read ahead; 0 reads in this one.
        device: of the encoders. For a GPU, batches are copied to page-locked memory, from which it fetches them while
            it computes. Beside a CPU, workers step back behind the encoder; where it waits long for one of them, since
            others keep the machine busy, workers that do not step back take over.
    """
    windows, steps_back, done = cut_windows(items.modality, tasks, sizes), device.type == "cpu", 0
    while done < len(windows):
        loader = iter(
            DataLoader(
                _Windows(items, encoders, windows[done:], sizes),
                batch_size=None,
                collate_fn=_as_it_is,
                num_workers=num_workers,
                pin_memory=device.type == "cuda" and num_workers > 0,
                worker_init_fn=_behind_the_encoder if steps_back else _in_a_worker,
            )
        )
        waited = 0.0
        while done < len(windows) and not (steps_back and num_workers and waited > LONG_WAIT_SEC):
            started = time.perf_counter()
            window = next(loader)
            waited = time.perf_counter() - started
            done += 1
            yield window
        steps_back = False


def cut_windows(modality: str, tasks: Sequence[Task], sizes: Mapping[str, int | Tensor]) -> list[Task]:
    """Each task in windows of one batch, then two, four and more, so that the encoder can begin soon."""
    windows = []
    for rows, names in tasks:
        size, at = max(int(sizes[name]) for name in names), 0
        most = max(TEXTS_SORTED_TOGETHER, BATCHES_SORTED_TOGETHER * size) if modality == "text" else FEW
        step = size
        while at < len(rows):
            windows.append(Task(rows[at : at + step], names))
            at += step
            step = step * 2 if step * 2 <= most else step
    return windows


def one_line(error: Exception) -> str:
    """What went wrong, in at most 300 characters, alike in every run."""
    text = ADDRESS.sub("", " ".join(str(error).split()))  # addresses differ from run to run, and say nothing
    return f"{type(error).__name__}: {text}"[:300]


def _in_a_worker(_: int) -> None:
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # after a fork its threads are gone, and it would say so


def _behind_the_encoder(worker: int) -> None:
    _in_a_worker(worker)
    step_back()


def _as_it_is(window: Any) -> Any:
    return window
