"""What lies where in a tar of samples: one pass over its headers, without unpacking.

Place in the flow: a tar -> a table of samples (tar_index.py keeps it), and a reader of their bytes.
Not here: folders of tars and splits (webdataset.py).

As in WebDataset, a member `000000012.jpg` is the part `jpg` of the sample `000000012`.
"""

import contextlib
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

import pyarrow as pa

MEDIA_ENDINGS = {"image": ("jpg", "jpeg", "png", "webp"), "audio": ("flac", "wav", "mp3", "ogg")}
SCHEMA = pa.schema(
    {
        "key": pa.string(),
        "offset": pa.int64(),
        "num_bytes": pa.int64(),
        "caption": pa.string(),
        "reason": pa.string(),
    }
)
"""A row a sample; where `reason` says why it cannot be used, the others may be null. Key null: the tar as a whole."""
BLOCK = 512


class Span(NamedTuple):
    """Where a member's bytes lie."""

    offset: int
    num_bytes: int


def scan_tar(path: Path, modality: str) -> pa.Table:
    """Read a tar's headers and captions.

    A tar that breaks off gives the samples before the break.

    Args:
        path: an uncompressed tar.
        modality: `image` or `audio`, which says what endings its pictures or sounds have.

    Returns:
        Table of `SCHEMA`, in the tar's order.
    """
    samples: dict[str, dict[str, Span]] = {}
    repeated: dict[str, None] = {}
    with path.open("rb") as file:
        members = _Members(file)
        for name, span in members:
            key, part = split_name(_storable(name))
            parts = samples.setdefault(key, {})
            if part in parts:
                repeated[key] = None
            else:
                parts[part] = span
        columns: dict[str, list] = {name: [] for name in SCHEMA.names}
        for key, parts in samples.items():
            _append(columns, key, *_usable(file, parts, MEDIA_ENDINGS[modality]))
        for key in repeated:
            _append(columns, key, None, None, "occurs more than once in its tar: the first one is kept")
        if members.broken_at is not None:
            _append(columns, None, None, None, f"breaks off at byte {members.broken_at:,}: what lies behind is lost")
    return pa.table(columns, schema=SCHEMA)


def split_name(name: str) -> tuple[str, str]:
    """Key and part of a member: `a/b.seg.png` is the part `seg.png` of the sample `a/b`."""
    folder, slash, base = name.rpartition("/")
    stem, _, part = base.partition(".")
    return (folder + slash).removeprefix("./") + stem, part.lower()


class _Members:
    """Names and places of a tar's files; afterwards `broken_at` says where it broke off, or None."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.broken_at: int | None = None

    def __iter__(self) -> Iterator[tuple[str, Span]]:
        end = self.file.seek(0, 2)
        self.file.seek(0)
        self.broken_at = 0
        # A tar that breaks off is an error where there is no header yet, or half of one, and else ends in silence.
        with contextlib.suppress(tarfile.TarError), tarfile.open(fileobj=self.file, mode="r:") as tar:
            while (member := self._next(tar)) is not None and member.offset_data + member.size <= end:
                if member.isreg() and not member.issparse():
                    yield member.name, Span(member.offset_data, member.size)
            self.broken_at = member.offset if member else tar.offset
        self.file.seek(self.broken_at)
        if self.file.read(BLOCK) == bytes(BLOCK):  # the end mark, which a whole tar has
            self.broken_at = None

    def _next(self, tar: tarfile.TarFile) -> tarfile.TarInfo | None:
        self.broken_at = tar.offset
        tar.members = []  # pyright: ignore[reportAttributeAccessIssue]: it would keep every header
        return tar.next()


def _usable(
    file: IO[bytes], parts: dict[str, Span], endings: tuple[str, ...]
) -> tuple[Span | None, str | None, str | None]:
    """Place of the picture or sound, caption, and why the sample cannot be used."""
    media = next((span for part, span in parts.items() if part in endings), None)
    if media is None:
        return None, None, f"no {', '.join(endings)} in its tar"
    if media.num_bytes == 0:
        return None, None, "empty file"
    caption = _caption(file, parts)
    return (media, caption, None) if caption else (None, None, "no caption: neither .txt nor 'caption' in .json")


def _caption(file: IO[bytes], parts: dict[str, Span]) -> str:
    if "txt" in parts:
        return _read(file, parts["txt"]).decode("utf-8", errors="replace").strip()
    try:
        about = json.loads(_read(file, parts["json"])) if "json" in parts else None
    except ValueError:
        return ""
    caption = about.get("caption") if isinstance(about, dict) else None
    return _storable(caption).strip() if isinstance(caption, str) else ""


def _storable(text: str) -> str:
    """Text whose halves of surrogate pairs, which UTF-8 cannot hold, are question marks."""
    return text.encode("utf-8", errors="replace").decode("utf-8")


def _read(file: IO[bytes], span: Span) -> bytes:
    file.seek(span.offset)
    return file.read(span.num_bytes)


def _append(
    columns: dict[str, list], key: str | None, span: Span | None, caption: str | None, reason: str | None
) -> None:
    columns["key"].append(key)
    columns["offset"].append(span and span.offset)
    columns["num_bytes"].append(span and span.num_bytes)
    columns["caption"].append(caption)
    columns["reason"].append(reason)
