"""Read, decode and prepare runs of items ahead of the encoders.

Place in the flow: Items -> windows of collated batches, one reading and decoding for all encoders.
Not here: the processes that do it (reading.py), running a model (extract.py).

A bad item is set aside with its stage and reason, and never ends the run; what is the machine's fault does
(trouble.py). A picture or sound is let go of as soon as each encoder has prepared it.
"""

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from PIL import Image
from torch import Tensor

from fusemix.encoders.decoding import decode, resample
from fusemix.encoders.priority import unhindered_time
from fusemix.encoders.thumbnails import thumbnails_of
from fusemix.encoders.trouble import Reader, one_line, tried
from fusemix.errors import FusemixError, MachineError
from fusemix.interfaces import Batch, Content, Encoder, Items, Prepared, Rejected

WINDOW_BYTES = 512 * 2**20
"""A window ends with the item that makes its prepared items so large, and the rest is read as further windows."""


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
        num_rows: of those that were asked for, the first so many were read; the unusable ones included.
        of: encoder -> its batches.
        rejected: items that could not be read or decoded, for whatever encoder.
        seconds: what read took, without waiting for a core, and the computing time of decode and prepare.
        thumbnails: place in the window -> what is seen of the item, where that was asked for.
    """

    num_rows: int
    of: dict[str, Batches]
    rejected: list[Rejected]
    seconds: dict[str, float]
    thumbnails: dict[int, bytes]


def read_window(
    items: Items,
    rows: Sequence[int],
    encoders: Mapping[str, Encoder],
    sizes: Mapping[str, int | Tensor],
    *,
    thumbnails: bool = False,
) -> Window:
    """Read some rows, at most WINDOW_BYTES of what is prepared, and make batches of them.

    Args:
        items: one side of a pair set.
        rows: of that side, in any order.
        encoders: by name; each gets batches of its own out of one decoding.
        sizes: items in one batch of each encoder.
        thumbnails: whether to make them.

    Raises:
        MachineError: a disk, a network or a limit fails, and trying again does not help.
    """
    seconds: dict[str, float] = dict.fromkeys(("read", "decode", "prepare"), 0.0)
    seen: dict[int, bytes] = {}
    ready, rejected, num_rows = _read(items, rows, encoders, seconds, seen if thumbnails else None)
    with _timed(seconds, "prepare"):
        of = {name: _batches(encoder, ready[name], int(sizes[name])) for name, encoder in encoders.items()}
    return Window(num_rows, of, rejected, seconds, seen)


def read_whole(
    items: Items, rows: Sequence[int], encoders: Mapping[str, Encoder], sizes: Mapping[str, int | Tensor]
) -> Iterator[tuple[Sequence[int], Window]]:
    """Windows of all of some rows, each with its rows; arguments and errors as for `read_window`."""
    while rows:
        window = read_window(items, rows, encoders, sizes)
        yield rows[: window.num_rows], window
        rows = rows[window.num_rows :]


def prepared_sample(items: Items, encoder: Encoder, rows: Sequence[int]) -> list[Prepared]:
    """Some items as the encoder's `prepare` gives them, at most WINDOW_BYTES; unusable ones are passed over."""
    seconds: dict[str, float] = dict.fromkeys(("read", "decode", "prepare"), 0.0)
    return _read(items, rows, {"it": encoder}, seconds)[0]["it"].prepared


class _Ready(NamedTuple):
    """What one encoder has prepared, where in the window and of which ids, and what it could not."""

    prepared: list[Prepared]
    places: list[int]
    ids: list[str]
    rejected: list[Rejected]


def _read(
    items: Items,
    rows: Sequence[int],
    encoders: Mapping[str, Encoder],
    seconds: dict[str, float],
    seen: dict[int, bytes] | None = None,
) -> tuple[dict[str, _Ready], list[Rejected], int]:
    """What each encoder prepared, what could not be read or decoded, and how many rows that were.

    Thumbnails are added to `seen`, where it is given.
    """
    started, ready = unhindered_time(), {name: _Ready([], [], [], []) for name in encoders}
    rejected, reader = [], Reader(items)
    step = len(rows) if items.modality == "text" else 1  # tokenizers are fast on many texts, which are small
    done = num_bytes = 0
    while done < len(rows) and num_bytes < WINDOW_BYTES:
        decoded = _decoded(
            items, rows, range(done, done + step), _least_sides(items.modality, encoders), reader, seconds
        )
        rejected += decoded.rejected
        if seen is not None:
            with _timed(seconds, "decode"):
                seen |= thumbnails_of(zip(decoded.places, decoded.contents, strict=True))
        with _timed(seconds, "prepare"):
            _prepare_for_all(items.modality, encoders, decoded._replace(rejected=[]), ready)
        if step == 1:
            num_bytes += sum(size_of(part.prepared[-1]) for part in ready.values() if part.places[-1:] == [done])
        done += step
    reader.judge()
    seconds["read"] += max(0.0, unhindered_time() - started - seconds["decode"] - seconds["prepare"])
    return ready, rejected, done


def _least_sides(modality: str, encoders: Mapping[str, Encoder]) -> tuple[int | None, ...]:
    """How pictures are to be decoded: each of these is done once, whatever the number of encoders."""
    wanted = (_least_side(encoder) if modality == "image" else None for encoder in encoders.values())
    return tuple(dict.fromkeys(wanted))


def _least_side(encoder: Encoder) -> int | None:
    return getattr(encoder, "least_side", None)


class _Decoded(NamedTuple):
    """Contents, or for each item the same content by `least_side`, until an encoder has its own."""

    contents: list[Content]
    places: list[int]
    ids: list[str]
    rejected: list[Rejected]


def _decoded(
    items: Items,
    rows: Sequence[int],
    places: Sequence[int],
    least_sides: Sequence[int | None],
    reader: Reader,
    seconds: dict[str, float],
) -> _Decoded:
    decoded = _Decoded([], [], [], [])
    for place in places:
        stage = "read"
        item = items.table["id"][rows[place]].as_py()
        try:
            raw = reader.read(rows[place])
            stage = "decode"
            with _timed(seconds, stage):
                content = {least: tried(item, stage, decode, items.modality, raw, least) for least in least_sides}
        except MachineError:
            raise
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


def _prepare_for_all(
    modality: str, encoders: Mapping[str, Encoder], decoded: _Decoded, ready: dict[str, _Ready]
) -> None:
    at_rate: dict[int | None, _Decoded] = {}
    for name, encoder in encoders.items():
        rate = encoder.sample_rate if modality == "audio" else None
        least = _least_side(encoder) if modality == "image" else None
        if rate not in at_rate or modality == "image":
            mine = decoded._replace(contents=[content[least] for content in decoded.contents])
            at_rate[rate] = mine if rate is None else _resampled(mine, rate)
        _prepare(encoder, at_rate[rate], ready[name])


def _resampled(decoded: _Decoded, rate: int) -> _Decoded:
    kept = _Decoded([], [], [], [])
    for wave, place, item in zip(decoded.contents, decoded.places, decoded.ids, strict=True):
        try:
            kept.contents.append(tried(item, "decode", resample, wave, rate))
        except MachineError:
            raise
        except Exception as error:
            kept.rejected.append(Rejected(item, "decode", one_line(error)))
        else:
            kept.places.append(place)
            kept.ids.append(item)
    return kept


def _prepare(encoder: Encoder, decoded: _Decoded, ready: _Ready) -> None:
    """Add what can be prepared, and note the rest."""
    ready.rejected.extend(decoded.rejected)
    if len(decoded.contents) > 1:
        try:
            prepared = encoder.prepare(decoded.contents)
        except FusemixError:  # of the encoder itself
            raise
        except Exception:  # find out below which one it was
            prepared = []
        if len(prepared) == len(decoded.contents):
            ready.prepared.extend(prepared)
            ready.places.extend(decoded.places)
            ready.ids.extend(decoded.ids)
            return
    for content, place, item in zip(decoded.contents, decoded.places, decoded.ids, strict=True):
        try:
            (prepared,) = tried(item, "prepare", encoder.prepare, [content])
        except FusemixError:
            raise
        except Exception as error:
            ready.rejected.append(Rejected(item, "prepare", one_line(error)))
        else:
            ready.prepared.append(prepared)
            ready.places.append(place)
            ready.ids.append(item)


def size_of(prepared: Any) -> int:
    """About how many bytes of numbers, pixels and text a prepared item holds."""
    if isinstance(prepared, Tensor | np.ndarray):
        return prepared.nbytes
    if isinstance(prepared, Image.Image):
        return prepared.width * prepared.height * len(prepared.getbands())
    if isinstance(prepared, Mapping):
        return sum(map(size_of, prepared.values()))
    if isinstance(prepared, list | tuple):
        return sum(map(size_of, prepared))
    return len(prepared) if isinstance(prepared, str | bytes) else 8


def _batches(encoder: Encoder, ready: _Ready, size: int) -> Batches:
    by_length = sorted(range(len(ready.prepared)), key=lambda i: encoder.length(ready.prepared[i]))
    made = Batches([], [], ready.rejected)
    for at in range(0, len(by_length), size):
        chosen = by_length[at : at + size]
        _collate(made, encoder, [ready.prepared[i] for i in chosen], chosen, ready)
        for i in chosen:
            ready.prepared[i] = None  # it is in its batch
    return made._replace(places=[[ready.places[i] for i in group] for group in made.places])


def _collate(made: Batches, encoder: Encoder, prepared: list[Prepared], chosen: list[int], ready: _Ready) -> None:
    """Add a batch of the chosen, or where they do not go together, batches of one."""
    try:
        made.batches.append(encoder.collate(prepared))
        made.places.append(chosen)
    except FusemixError:
        raise
    except Exception as error:
        if len(chosen) == 1:
            made.rejected.append(Rejected(ready.ids[chosen[0]], "prepare", one_line(error)))
            return
        for item, i in zip(prepared, chosen, strict=True):
            _collate(made, encoder, [item], [i], ready)
