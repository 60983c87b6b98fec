"""Run an encoder over items: read and decode ahead in worker processes, encode in batches.

Place in the flow: Items + Encoder -> latents, span by span.
Not here: shards and files (latents/writer.py).

What an item gives does not depend on the number of workers. A bad item is set aside with its
stage and reason, and never ends the run.
"""

import contextlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch.utils.data import DataLoader, Dataset

from fusemix.encoders.decoding import decode, resample
from fusemix.interfaces import Content, Encoder, Items, Prepared, Raw, Rejected

ADDRESS = re.compile(r" at 0x[0-9a-f]+")
BATCHES_SORTED_TOGETHER = 64
"""How many batches of text are put in order of length at once."""


class Encoded(NamedTuple):
    """Latents of some consecutive rows; a rejected item's row is NaN."""

    rows: range
    latents: Float[np.ndarray, "rows dim"]
    rejected: tuple[Rejected, ...]


class _Window(NamedTuple):
    rows: range
    places: list[int]
    prepared: list[Prepared]
    rejected: list[Rejected]


@dataclass(frozen=True)
class _Windows(Dataset):
    """Element i is the i-th run of rows, read, decoded and prepared."""

    items: Items
    encoder: Encoder
    windows: list[range]

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, index: int) -> _Window:
        rows = self.windows[index]
        contents, places, rejected = self._contents(rows)
        prepared, places = self._prepare(contents, places, rows, rejected)
        return _Window(rows, places, prepared, rejected)

    def _contents(self, rows: range) -> tuple[list[Content], list[int], list[Rejected]]:
        contents, places, rejected = [], [], []
        for place, row in enumerate(rows):
            stage = "read"
            try:
                raw: Raw = self.items.read(row)
                stage = "decode"
                content = decode(self.items.modality, raw)
                if self.items.modality == "audio" and self.encoder.sample_rate:
                    content = resample(content, self.encoder.sample_rate)
            except Exception as error:  # a decoder may raise anything, and one bad item must not end the run
                rejected.append(Rejected(_id(self.items, row), stage, _one_line(error)))
            else:
                contents.append(content)
                places.append(place)
        return contents, places, rejected

    def _prepare(
        self, contents: list[Content], places: list[int], rows: range, rejected: list[Rejected]
    ) -> tuple[list[Prepared], list[int]]:
        with contextlib.suppress(Exception):
            return self.encoder.prepare(contents), places
        prepared, kept = [], []
        for content, place in zip(contents, places, strict=True):  # find out which one it was
            try:
                prepared += self.encoder.prepare([content])
                kept.append(place)
            except Exception as error:
                rejected.append(Rejected(_id(self.items, rows[place]), "prepare", _one_line(error)))
        return prepared, kept


def encode_spans(
    items: Items,
    encoder: Encoder,
    spans: Sequence[range],
    *,
    batch_size: int,
    num_workers: int,
    advance: Callable[[int], None],
) -> Iterator[Encoded]:
    """Encode spans of rows, in order; batches never reach across the end of a span.

    Args:
        items: one side of a pair set.
        encoder: of the same modality, already on its device.
        spans: rows to encode; none is empty.
        batch_size: items in one pass of the encoder.
        num_workers: processes that read and decode; texts are prepared in this process.
        advance: called with the number of items just encoded.

    Yields:
        One result a span.
    """
    is_text = items.modality == "text"
    step = batch_size * (BATCHES_SORTED_TOGETHER if is_text else 1)
    windows = [span[at : at + step] for span in spans for at in range(0, len(span), step)]
    loader: DataLoader[Any] = DataLoader(
        _Windows(items, encoder, windows),
        batch_size=None,
        collate_fn=_as_it_is,
        num_workers=0 if is_text else num_workers,
    )
    encoded = (_encode_window(items, encoder, window, batch_size) for window in loader)
    for span in spans:
        parts: list[Encoded] = []
        while not parts or parts[-1].rows.stop < span.stop:
            parts.append(next(encoded))
            advance(len(parts[-1].rows))
        rejected = tuple(item for part in parts for item in part.rejected)
        yield Encoded(span, np.concatenate([part.latents for part in parts]), rejected)


def _encode_window(items: Items, encoder: Encoder, window: _Window, batch_size: int) -> Encoded:
    latents = np.full((len(window.rows), encoder.dim), np.nan, dtype=np.float32)
    by_length = sorted(range(len(window.places)), key=lambda i: encoder.length(window.prepared[i]))
    rejected = list(window.rejected)
    for start in range(0, len(by_length), batch_size):
        chosen = by_length[start : start + batch_size]
        try:
            latents[[window.places[i] for i in chosen]] = _encode(encoder, [window.prepared[i] for i in chosen])
        except (torch.OutOfMemoryError, torch.AcceleratorError):  # the device's fault, and no item is to blame
            raise
        except Exception:
            rejected += _encode_singly(encoder, window, chosen, latents, items)
    return Encoded(window.rows, latents, tuple(rejected))


def _encode_singly(
    encoder: Encoder, window: _Window, chosen: list[int], latents: Float[np.ndarray, "rows dim"], items: Items
) -> Iterator[Rejected]:
    for i in chosen:  # find out which one it was
        place = window.places[i]
        try:
            latents[place] = _encode(encoder, [window.prepared[i]])[0]
        except Exception as error:
            yield Rejected(_id(items, window.rows[place]), "encode", _one_line(error))


def _encode(encoder: Encoder, batch: list[Prepared]) -> Float[np.ndarray, "batch dim"]:
    with torch.inference_mode():
        return encoder.encode(batch).float().cpu().numpy()


def _id(items: Items, row: int) -> str:
    return items.table["id"][row].as_py()


def _as_it_is(window: Any) -> Any:
    return window


def _one_line(error: Exception) -> str:
    text = ADDRESS.sub("", " ".join(str(error).split()))  # addresses differ from run to run, and say nothing
    return f"{type(error).__name__}: {text}"[:300]
