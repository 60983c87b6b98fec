"""A short digest of what was read of an item, before it is decoded.

Place in the flow: Raw -> digest; where reading happens in other processes, a file beside them takes it home.
Not here: what digests are compared with (latents/content.py).
"""

import contextlib
import hashlib
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt64

from fusemix.interfaces import Items, Raw

UNKNOWN = 0
"""Digest of what was not read, and of texts, which the item table holds."""
WORD = 8
"""Bytes of a digest: of five million files replaced, it misses one with a probability below 1e-12."""


def digest_of(raw: Raw) -> int:
    """64 bits of BLAKE2b of a file's bytes, of the pixels of a picture, or of the samples of a sound; never 0."""
    with contextlib.suppress(Exception):  # a picture that cannot be loaded is for the decoder to complain about
        return int.from_bytes(hashlib.blake2b(_bytes_of(raw), digest_size=WORD).digest(), "little") or 1
    return UNKNOWN


def _bytes_of(raw: Any) -> Any:
    if isinstance(raw, bytes | bytearray | memoryview):
        return raw
    held = getattr(raw, "samples", raw)  # of a Waveform
    return held.tobytes()


@dataclass(frozen=True)
class _Noting:
    """Reads an item and notes its digest in a file, at the place of its row; may run in a worker process."""

    read: Callable[[int], Raw]
    path: str

    def __call__(self, row: int) -> Raw:
        raw = self.read(row)
        digest = digest_of(raw)
        with contextlib.suppress(OSError), Path(self.path).open("r+b", buffering=0) as file:  # a full disk is no error
            file.seek(row * WORD)
            file.write(digest.to_bytes(WORD, "little"))
        return raw


class Digests:
    """Digests of the items of a side, as they are read by whatever process of this machine."""

    def __init__(self, path: Path | None) -> None:
        self._path = path

    def of(self, rows: range) -> list[int]:
        """Digests of some rows; 0 where none is known."""
        found: UInt64[np.ndarray, " rows"] = np.zeros(len(rows), dtype="<u8")
        if self._path is not None:
            known = np.fromfile(self._path, dtype="<u8", count=len(rows), offset=rows.start * WORD)
            found[: len(known)] = known
        return found.tolist()


@contextlib.contextmanager
def noting_digests(items: Items) -> Iterator[tuple[Items, Digests]]:
    """The same items, whose digests are noted as they are read."""
    if items.modality == "text":
        yield items, Digests(None)
        return
    with tempfile.TemporaryDirectory(prefix="fusemix-", ignore_cleanup_errors=True) as folder:
        path = Path(folder) / "digests"
        path.touch()
        yield Items(items.modality, items.table, _Noting(items.read, str(path))), Digests(path)
