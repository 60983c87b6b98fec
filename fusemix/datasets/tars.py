"""What lies where in a tar of samples: one pass over its headers, without unpacking.

Place in the flow: a tar -> a table of samples (tar_index.py keeps it), and a reader of their bytes.
Not here: folders of tars and splits (webdataset.py).

As in WebDataset, a member `000000012.jpg` is the part `jpg` of the sample `000000012`. A link to another member of
the tar is that member; tars that were appended to one another are read to the last.
"""

import contextlib
import json
import posixpath
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from fusemix.datasets.endings import NOUNS, endings, is_usual
from fusemix.datasets.given_values import captions_in
from fusemix.disk.regular import open_regular
from fusemix.disk.system_names import is_system_name
from fusemix.remote.paths import Opened, Remote
from fusemix.text_files import decoded

SCHEMA = pa.schema(
    {
        "key": pa.string(),
        "offset": pa.int64(),
        "num_bytes": pa.int64(),
        "caption": pa.string(),
        "further": pa.list_(pa.string()),
        "reason": pa.string(),
    }
)
"""A row a sample; `further` are captions after the first. Where `reason` says why it cannot be used, the others may be
null. Key null: the tar as a whole."""
BLOCK = 512
BLOCKS_AT_ONCE = 2048
SCAN_AHEAD = 4 << 20
"""Bytes that one request fetches of a tar behind a URL: headers lie between small files, and captions among them."""


class Span(NamedTuple):
    """Where a member's bytes lie."""

    offset: int
    num_bytes: int


def scan_tar(path: Path | Remote, modality: str) -> pa.Table:
    """Read a tar's headers and captions.

    A tar that breaks off gives the samples before the break.

    Args:
        path: an uncompressed tar.
        modality: `image` or `audio`, which says what endings its pictures or sounds have.

    Returns:
        Table of `SCHEMA`, in the tar's order.
    """
    known = [ending.removeprefix(".") for ending in endings(modality)]
    samples: dict[str, dict[str, Span | str]] = {}
    repeated: dict[str, None] = {}
    with open_regular(path) if isinstance(path, Path) else path.open(SCAN_AHEAD) as file:
        members = _Members(file)
        for name, place in members:
            key, part = split_name(_storable_name(name))
            parts = samples.setdefault(key, {})
            if part in parts:
                repeated[key] = None
            else:
                parts[part] = place
        _follow_links(samples, members.links)
        columns: dict[str, list] = {name: [] for name in SCHEMA.names}
        for key, parts in samples.items():
            for dotted in _dotted(parts, known):
                _append(columns, f"{key}.{dotted}", None, (), HAS_DOTS.format(key=key))
            if not _is_dotted_alone(parts, known):
                _append(columns, key, *_usable(file, parts, modality))
        for key in repeated:
            _append(columns, key, None, (), "occurs more than once in its tar: the first one is kept")
        if members.broken_at is not None:
            _append(columns, None, None, (), f"breaks off at byte {members.broken_at:,}: what lies behind is lost")
    return pa.table(columns, schema=SCHEMA)


HAS_DOTS = "its name has dots: WebDataset ends a sample's key at the first one, {key!r} here; rename it"


def _dotted(parts: dict[str, Span | str], known: Sequence[str]) -> list[str]:
    """Parts that are pictures or sounds of samples of their own, whose names have dots."""
    has_media = any(part in known for part in parts)
    dotted = (part.rpartition(".") for part in parts if "." in part)
    return [
        f"{stem}.{ending}"
        for stem, _, ending in dotted
        if ending in known and (not has_media or f"{stem}.txt" in parts or f"{stem}.json" in parts)
    ]


def _is_dotted_alone(parts: dict[str, Span | str], known: Sequence[str]) -> bool:
    return bool(_dotted(parts, known)) and not any(part in known for part in parts)


def _follow_links(samples: dict[str, dict[str, Span | str]], links: dict[str, str]) -> None:
    """Put the place of what it points to where a part is a link within the tar; any other stays a reason."""
    for name, target in links.items():
        seen = {name}
        while target in links and target not in seen:
            seen.add(target)
            target = links[target]
        key, part = split_name(_storable_name(name))
        there, what = split_name(_storable_name(target))
        place = samples.get(there, {}).get(what)
        if isinstance(place, Span) and samples[key].get(part) == A_LINK:
            samples[key][part] = place


A_LINK = "a link to something that is not in its tar"
SPARSE = "stored as a sparse file; make the tar again without --sparse"


def split_name(name: str) -> tuple[str, str]:
    """Key and part of a member: `a/b.seg.png` is the part `seg.png` of the sample `a/b`."""
    folder, slash, base = name.rpartition("/")
    stem, _, part = base.partition(".")
    return (folder + slash).removeprefix("./") + stem, part.lower()


class _Members:
    """Names and places of a tar's files, or why one cannot be read.

    Afterwards `broken_at` says where it broke off, or None, and `links` which name is a link to which.
    """

    def __init__(self, file: Opened) -> None:
        self.file = file
        self.broken_at: int | None = None
        self.links: dict[str, str] = {}

    def __iter__(self) -> Iterator[tuple[str, Span | str]]:
        end = self.file.seek(0, 2)
        start: int | None = 0
        while start is not None:
            yield from self._one_tar(start, end)
            start = None if self.broken_at is not None else self._next_tar(end)

    def _one_tar(self, start: int, end: int) -> Iterator[tuple[str, Span | str]]:
        self.file.seek(start)
        self.broken_at = self._at = start
        # A tar that breaks off is an error where there is no header yet, or half of one, and else ends in silence.
        with contextlib.suppress(tarfile.TarError), tarfile.open(fileobj=self.file, mode="r:") as tar:
            # The size of a sparse member is that of the file, not of what the tar holds of it.
            while (member := self._next(tar)) is not None and (
                member.issparse() or member.offset_data + member.size <= end
            ):
                base = member.name.rpartition("/")[2]
                if (member.issym() or member.islnk()) and "." in base:
                    folder = "" if member.islnk() else posixpath.dirname(member.name)
                    self.links[member.name] = posixpath.normpath(posixpath.join(folder, member.linkname))
                    yield member.name, A_LINK
                elif member.isreg() and not _is_of_the_system(member.name):
                    yield member.name, SPARSE if member.issparse() else Span(member.offset_data, member.size)
            self.broken_at = member.offset if member else tar.offset
        self.file.seek(self.broken_at)
        if self.file.read(BLOCK) == bytes(BLOCK):  # the end mark, which a whole tar has
            self._at, self.broken_at = self.broken_at, None

    def _next_tar(self, end: int) -> int | None:
        """Where another tar begins behind the end mark of this one."""
        at = self._at
        self.file.seek(at)
        while at < end:
            blocks = self.file.read(BLOCKS_AT_ONCE * BLOCK)
            if blocks.count(0) < len(blocks):
                first = len(blocks) - len(blocks.lstrip(b"\0"))
                return at + first // BLOCK * BLOCK
            at += len(blocks)
        return None

    def _next(self, tar: tarfile.TarFile) -> tarfile.TarInfo | None:
        self.broken_at = tar.offset
        tar.members = []  # pyright: ignore[reportAttributeAccessIssue]: it would keep every header
        return tar.next()


def _is_of_the_system(name: str) -> bool:
    return any(is_system_name(part) for part in name.split("/") if part not in (".", ".."))


def _usable(file: Opened, parts: dict[str, Span | str], modality: str) -> tuple[Span | None, Sequence[str], str | None]:
    """Place of the picture or sound, captions, and why the sample cannot be used."""
    found = [part for part in parts if f".{part}" in endings(modality)]
    if not found:
        return None, (), f"no {NOUNS[modality]} in its tar, by the endings of the names"
    media = parts[min(found, key=lambda part: not is_usual(modality, f".{part}"))]  # the first one of a usual format
    if isinstance(media, str):
        return None, (), f"its picture or sound is {media}"
    if media.num_bytes == 0:
        return None, (), "empty file"
    captions, reason = _captions(file, parts)
    return (media, captions, None) if captions else (None, (), reason)


def _captions(file: Opened, parts: dict[str, Span | str]) -> tuple[list[str], str]:
    """What .txt says, or else 'caption' in .json; where neither does, why not."""
    reason = "no caption: neither .txt nor 'caption' in .json"
    for part, texts_of in (("txt", _texts_of_txt), ("json", _texts_of_json)):
        place = parts.get(part)
        if place is None:
            continue
        if isinstance(place, str):
            reason = f"no caption: its .{part} is {place}"
            continue
        try:
            texts = [text for text in map(str.strip, map(_storable, texts_of(_read(file, place)))) if text]
        except UnicodeDecodeError:
            reason = f"no caption: its .{part} is not UTF-8"
            continue
        except (json.JSONDecodeError, RecursionError):
            reason = f"no caption: its .{part} is damaged"
            continue
        except ValueError as error:
            reason = f"no caption: in its .{part} is {error}"
            continue
        if texts:
            return texts, ""
    return [], reason


def _texts_of_txt(content: bytes) -> list[str]:
    return captions_in(decoded(content))


def _texts_of_json(content: bytes) -> list[str]:
    about = json.loads(content, object_pairs_hook=_of_unique_keys)
    return captions_in(about.get("caption")) if isinstance(about, dict) else []


def _of_unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if [key for key, _ in pairs].count("caption") > 1:
        raise ValueError("'caption' twice")
    return dict(pairs)


def _storable(text: str) -> str:
    """Text whose halves of surrogate pairs, which UTF-8 cannot hold, are question marks."""
    return text.encode("utf-8", errors="replace").decode("utf-8")


def _storable_name(name: str) -> str:
    """A name whose bytes that are not UTF-8 are written out, so that two such names stay two."""
    return name.encode("utf-8", errors="backslashreplace").decode("utf-8")


def _read(file: Opened, span: Span) -> bytes:
    file.seek(span.offset)
    return file.read(span.num_bytes)


def _append(
    columns: dict[str, list], key: str | None, span: Span | None, captions: Sequence[str], reason: str | None
) -> None:
    columns["key"].append(key)
    columns["offset"].append(span and span.offset)
    columns["num_bytes"].append(span and span.num_bytes)
    columns["caption"].append(captions[0] if captions else None)
    columns["further"].append(captions[1:] or None)
    columns["reason"].append(reason)
