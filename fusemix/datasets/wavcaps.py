"""WavCaps: sounds of four sources with captions that a language model wrote, from the authors' JSON files.

Place in the flow: files on disk -> PairSet.
Source: Mei et al., "WavCaps", IEEE/ACM TASLP 2024, arXiv:2303.17395; counts as in the JSON files.

The authors' archives hold fewer sounds than their JSON files name. Many sounds are also in the test splits of AudioCaps
and Clotho: give one of the authors' blacklists before measuring there.
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from fusemix.datasets.caption_files import CaptionLine
from fusemix.datasets.captioned_files import pair_files
from fusemix.datasets.given_values import captions_in, name_in
from fusemix.datasets.json_stream import stream_list
from fusemix.datasets.unsplit import members
from fusemix.disk.files import sha256_of_file, sha256_of_json
from fusemix.disk.system_names import is_system_name
from fusemix.errors import DatasetError
from fusemix.interfaces import PairSet, Rejected
from fusemix.parts.kinds import Location
from fusemix.text_files import read_text, why_no_text


class Source(NamedTuple):
    """One source: its JSON file, its name in the blacklists, and how many sounds it was published with."""

    captions: str
    blacklisted_as: str
    num_clips: int


ALL = ("FreeSound", "BBC_Sound_Effects", "SoundBible", "AudioSet_SL")
SOURCES = {
    "FreeSound": Source("fsd_final.json", "FreeSound", 262_300),
    "BBC_Sound_Effects": Source("bbc_final.json", "BBC_Sound_Effects", 31_201),
    "SoundBible": Source("sb_final.json", "SoundBible", 1_232),
    "AudioSet_SL": Source("as_final.json", "AudioSet", 108_317),
}


def wavcaps(
    *,
    split: str,
    clips: Location,
    annotations: Location,
    sources: Sequence[str] = ALL,
    blacklist: Location | None = None,
    fractions: dict[str, float] | None = None,
) -> PairSet:
    """WavCaps, or some of its sources.

    Args:
        split: `all` or `train`, which hold everything, or one of `fractions`.
        clips: folder that holds a folder of `<id>.flac` a source, called as the source or `<source>_flac`, at any
            depth: the authors' archives unpack to mnt/fast/nobackup/….
        annotations: the authors' folder `json_files`, with a folder a source.
        sources: which of FreeSound, BBC_Sound_Effects, SoundBible and AudioSet_SL.
        blacklist: one of the authors' `blacklist_exclude_….json`; what it names is left out and listed.
        fractions: split -> share of the sounds, drawn by a hash of source and id.

    Raises:
        DatasetError: something is missing or in another layout.
    """
    unknown = [name for name in sources if name not in SOURCES]
    if unknown or not sources or len(set(sources)) < len(sources):
        raise DatasetError(f"wavcaps: sources must be some of {', '.join(SOURCES)}, once each, not {list(sources)}.")
    files = {name: Path(annotations) / name / SOURCES[name].captions for name in sources}
    absent = [str(path) for path in (*files.values(), *([Path(blacklist)] if blacklist else [])) if not path.is_file()]
    if absent:
        raise DatasetError(f"wavcaps: there is no file {' and no file '.join(absent)}.")
    folders = source_folders(Path(clips), sources)
    kept = _KeptLines(files, folders, members("wavcaps", split, fractions), _forbidden(blacklist))
    digests = [sha256_of_file(path) for path in (*files.values(), *([Path(blacklist)] if blacklist else []))]
    pairs = pair_files("wavcaps", "audio", split, Path(clips), kept, sha256_of_json(digests)[:12])
    count = sum(SOURCES[name].num_clips for name in sources)
    return replace(
        pairs,
        excluded=(*pairs.excluded, *kept.blacklisted),
        published=None if fractions else (count, count),
    )


def source_folders(clips: Path, sources: Sequence[str]) -> dict[str, str]:
    """Where below a folder the sounds of each source lie: in a folder called as the source or `<source>_flac`.

    Raises:
        DatasetError: there are two such folders that hold sounds.
    """
    named = {name: source for source in sources for name in (source, f"{source}_flac")}
    found: dict[str, list[str]] = {source: [] for source in sources}
    for parent, folders, _ in os.walk(clips, onerror=_fail):
        folders[:] = sorted(name for name in folders if not is_system_name(name))
        for name in [name for name in folders if name in named and _holds_flac(Path(parent, name))]:
            found[named[name]].append(Path(parent, name).relative_to(clips).as_posix())
            folders.remove(name)
    twice = next((places for places in found.values() if len(places) > 1), None)
    if twice:
        raise DatasetError(
            f"wavcaps: the folders {' and '.join(twice)} of {clips} hold sounds of one source. Put them into one."
        )
    return {source: places[0] if places else f"{source}_flac" for source, places in found.items()}


def _fail(error: OSError) -> None:
    """A folder that cannot be read is not passed over."""
    raise error


def _holds_flac(folder: Path) -> bool:
    with os.scandir(folder) as entries:
        return any(entry.name.lower().endswith(".flac") and not is_system_name(entry.name) for entry in entries)


@dataclass(frozen=True)
class _KeptLines:
    """Caption lines of all sources; what the blacklist names is collected instead."""

    files: Mapping[str, Path]
    folders: Mapping[str, str]
    belongs: Callable[[str], bool]
    forbidden: Mapping[str, frozenset[str]]
    blacklisted: list[Rejected] = field(default_factory=list)

    def __iter__(self) -> Iterator[CaptionLine]:
        for source, path in self.files.items():
            folder = self.folders[source]
            forbidden = self.forbidden.get(SOURCES[source].blacklisted_as, frozenset())
            for item, caption in _entries(path):
                stem = item.removesuffix(".wav")  # AudioSet's ids end so, their files do not
                file = f"{folder}/{stem}.flac"
                if not self.belongs(f"{source}/{stem}"):
                    continue
                if item in forbidden:
                    self.blacklisted.append(Rejected(file, "dataset", "on the blacklist"))
                else:
                    yield CaptionLine(file, caption)


def _entries(path: Path) -> Iterator[tuple[str, str]]:
    """Id and caption of each entry of one source, one at a time; FreeSound's file is too large to hold."""
    for entry in stream_list(path, "data"):
        try:
            item, captions = name_in(entry["id"]), captions_in(entry["caption"])
        except (KeyError, TypeError, ValueError):
            item, captions = "", []
        if not item or len(captions) != 1:
            raise DatasetError(f"{path}: an entry of 'data' lacks 'id' or 'caption': {str(entry)[:100]}")
        yield item, captions[0]


def _forbidden(blacklist: str | None) -> dict[str, frozenset[str]]:
    if blacklist is None:
        return {}
    try:
        lists = json.loads(read_text(Path(blacklist)))
        return {source: frozenset(str(item) for item in ids) for source, ids in lists.items()}
    except UnicodeDecodeError as error:
        raise DatasetError(f"{blacklist} cannot be read in UTF-8: {why_no_text(Path(blacklist))}") from error
    except (ValueError, AttributeError, TypeError) as error:
        raise DatasetError(
            f"{blacklist} is not one of WavCaps' blacklists, which are JSON with a list of ids a source: {error}"
        ) from error
