"""Tars of samples, as img2dataset and WebDataset write them, read in place; and two data sets that come so.

Place in the flow: tars on disk -> PairSet.
Source of the layout: github.com/rom1504/img2dataset (00000.tar with 000000000.jpg, .txt and .json; beside it
00000.parquet, which also names what could not be downloaded). CC3M: Sharma et al., "Conceptual Captions", ACL 2018.
SBU: Ordonez, Kulkarni & Berg, "Im2Text", NIPS 2011.
"""

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fusemix.datasets.braces import expanded, is_pattern
from fusemix.datasets.caption_column import parted
from fusemix.datasets.endings import NOUNS
from fusemix.datasets.pairs import pair_captions
from fusemix.datasets.shards import find_shards
from fusemix.datasets.tar_index import tar_tables
from fusemix.datasets.tar_reader import tar_reader
from fusemix.datasets.unsplit import members
from fusemix.disk.files import sha256_of_json
from fusemix.errors import DatasetError
from fusemix.interfaces import PairSet, Rejected
from fusemix.parts.kinds import Location, Place
from fusemix.progress import console, progress_bar
from fusemix.remote.paths import Remote, located
from fusemix.split_names import require_known

PUBLISHED = {
    "cc3m": {"train": 3_318_333, "validation": 15_840},
    "sbu": {"train": 1_000_000},
}
"""Pictures of each split, with one caption each."""
MANY = 0.1
"""Share of captions with several lines from which on they are not taken for oversights."""
ADDRESS = re.compile(r" at 0x[0-9a-f]+")
FAILURE_COLUMNS = ["key", "status", "error_message"]
NAMES = pa.dictionary(pa.int32(), pa.string())
"""A tar's name and path are the same for all its samples, so they are kept once."""


def webdataset(
    *,
    split: str,
    folder: Place,
    modality: str = "image",
    fractions: dict[str, float] | None = None,
    captions: Location | None = None,
) -> PairSet:
    """Pictures or sounds with captions in tars.

    Args:
        split: name of a folder in `folder` that holds the split's tars. Where the tars lie in `folder` itself, a split
            that their names say (`…-train-0000.tar`); if they say none, `all` or `train` for everything, or one of
            `fractions`.
        folder: where the tars lie, on this machine or behind a URL; or a pattern of them, `…/{00000..00099}.tar`.
        modality: `image` (.jpg, .jpeg, .png, .webp) or `audio` (.flac, .wav, .mp3, .ogg).
        fractions: split -> share of the samples, drawn by a hash of tar and key.
        captions: `lines` where each line of a .txt is a caption, `whole` where all of it is one. It must be said where
            many have several lines.

    Raises:
        DatasetError: there are no tars, or nothing in them can be used.
    """
    if modality not in NOUNS:
        raise DatasetError(f"webdataset: modality must be {' or '.join(NOUNS)}, not {modality!r}.")
    if captions not in (None, "lines", "whole"):
        raise DatasetError(f"webdataset: captions must be lines or whole, not {captions!r}.")
    return _pairs("webdataset", split, located(folder), modality, fractions, captions)


def cc3m(*, split: str, folder: Place) -> PairSet:
    """Conceptual Captions, as img2dataset downloads it. Links have rotted, so copies are smaller than published.

    Args:
        split: `train` or `validation`.
        folder: holds folders `train` and `validation` of tars, or tars whose names say the split
            (cc3m-validation-0000.tar), or the tars of train.

    Raises:
        DatasetError: there are no tars, or they hold more than was published.
    """
    return _published("cc3m", split, located(folder))


def sbu(*, split: str, folder: Place) -> PairSet:
    """SBU Captioned Photos, as img2dataset downloads it. Links have rotted, so copies are smaller than published.

    Args:
        split: `train`, the only one.
        folder: holds the tars, or a folder `train` of them.

    Raises:
        DatasetError: there are no tars, or they hold more than was published.
    """
    return _published("sbu", split, located(folder))


def _published(dataset: str, split: str, folder: Path | Remote) -> PairSet:
    split = require_known(dataset, split, PUBLISHED[dataset])
    pairs, most = _pairs(dataset, split, folder, "image", None, "whole"), PUBLISHED[dataset][split]
    if len(pairs.left) > most:
        raise DatasetError(
            f"{dataset}, split {split!r}: published with {most:,} pictures, but the tars in {folder} hold "
            f"{len(pairs.left):,}. They are of another data set, or hold pictures twice; set dataset.name=webdataset "
            "if this is meant."
        )
    return replace(pairs, published=(most, most))


def _pairs(
    dataset: str,
    split: str,
    folder: Path | Remote,
    modality: str,
    fractions: dict[str, float] | None,
    given_as: str | None,
) -> PairSet:
    only = None
    if is_pattern(folder.name) and (isinstance(folder, Remote) or not folder.is_dir()):
        folder, only = folder.parent, expanded(folder.name)
    if not folder.is_dir():
        raise DatasetError(f"{dataset}: there is no folder {folder}.")
    belongs = members(dataset, split, fractions) if fractions else None
    shards = find_shards(dataset, folder, split, fractions, only)
    samples, excluded = _samples(shards.tars, modality, belongs)
    if given_as is None:
        given_as = _given_as(dataset, samples["captions"])
    media, captions = parted(samples, "captions")
    del samples
    return pair_captions(
        dataset=dataset,
        revision=f"tars {sha256_of_json([[name, path.stat().st_size] for name, path in shards.tars.items()])[:12]}",
        split=split,
        modality=modality,
        media=media,
        reader=tar_reader,
        captions=_each_line(captions) if given_as == "lines" else captions,
        excluded=[*shards.passed_over, *excluded],
    )


def _each_line(captions: Iterable[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    """A caption a line that is not empty; not splitlines(), since a caption may hold U+2028."""
    for row, caption in captions:
        for line in caption.split("\n"):
            if line.strip():
                yield row, line


def _given_as(dataset: str, captions: pa.ChunkedArray) -> str:
    """`whole`, unless many captions have several lines: then nobody but the user knows what they are."""
    several = sum(
        int(pc.call_function("match_substring", [chunk.flatten()], pc.MatchSubstringOptions("\n")).sum().as_py() or 0)
        for chunk in captions.chunks
    )
    if several > MANY * len(captions):
        raise DatasetError(
            f"{dataset}: the captions of {several:,} of {len(captions):,} samples have several lines. Say "
            "dataset.options.captions=lines if each line is a caption, or captions=whole if all of them are one."
        )
    if several:
        text = f"{dataset}: the captions of {several:,} samples have several lines, which are one caption each"
        console.print(text, style="yellow")
    return "whole"


def _samples(
    tars: Mapping[str, Path] | Mapping[str, Remote], modality: str, belongs: Callable[[str], bool] | None
) -> tuple[pa.Table, list[Rejected]]:
    """Usable samples of all tars, and the others; only Arrow arrays outlive the tar whose usable samples they hold."""
    tables: list[pa.Table] = []
    excluded: list[Rejected] = []
    for name, found in _tables(tars, modality):
        stem = name.removesuffix(".tar")
        found = found.set_column(0, "id", _joined(stem, found["key"]))
        if belongs is not None:
            found = found.filter(pa.array([item is None or belongs(item) for item in found["id"].to_pylist()]))
        lost = found.filter(found["reason"].is_valid())
        for item, reason in zip(lost["id"].to_pylist(), lost["reason"].to_pylist(), strict=True):
            excluded.append(Rejected(item or name, "dataset", sys.intern(reason)))
        failed = _not_downloaded(tars[name].with_suffix(".parquet"), stem)
        excluded += [rejected for rejected in failed if belongs is None or belongs(rejected.id)]
        tables.append(_media(found.filter(found["reason"].is_null()).drop_columns("reason"), name, tars[name]))
    return pa.concat_tables(tables).unify_dictionaries(), excluded


def _tables(tars: Mapping[str, Path] | Mapping[str, Remote], modality: str) -> Iterator[tuple[str, pa.Table]]:
    with progress_bar() as bar:
        task = bar.add_task("tars", total=len(tars), note="")
        for (name, path), table in zip(tars.items(), tar_tables([*tars.values()], modality), strict=True):
            changed = pa.repeat(pa.scalar(path.stat().st_mtime_ns, pa.int64()), len(table))
            yield name, table.append_column("mtime_ns", changed)
            bar.advance(task)


def _media(usable: pa.Table, name: str, path: Path | Remote) -> pa.Table:
    """Columns id, tar, path, offset, num_bytes and captions; `path` may change without an item being another one."""
    for place, (column, value) in enumerate([("tar", name), ("path", str(path))], start=1):
        indices = pa.nulls(len(usable), pa.int32()).fill_null(0)
        repeated = pa.DictionaryArray.from_arrays(indices, pa.array([value]))
        usable = usable.add_column(place, pa.field(column, NAMES), repeated)
    return usable.drop_columns(["caption", "further"]).append_column("captions", _captions(usable))


def _joined(stem: str, keys: pa.ChunkedArray) -> pa.ChunkedArray:
    """Ids of samples, by tar and key; null where the key is."""
    parts = [pa.scalar(f"{stem}/"), keys, pa.scalar("")]
    return pc.call_function("binary_join_element_wise", parts)


def _captions(usable: pa.Table) -> pa.Array:
    """All captions of each sample; nearly always there is one."""
    if usable["further"].null_count == len(usable):
        ends = pa.array(np.arange(len(usable) + 1, dtype=np.int32))
        return pa.ListArray.from_arrays(ends, usable["caption"].combine_chunks())
    texts = zip(usable["caption"].to_pylist(), usable["further"].to_pylist(), strict=True)
    return pa.array([[first, *(further or ())] for first, further in texts], pa.list_(pa.string()))


def _not_downloaded(path: Path | Remote, stem: str) -> Iterator[Rejected]:
    """What img2dataset's table beside a tar names as failed; a tar without such a table names nothing."""
    if not path.is_file():
        return
    try:
        with path.open("rb") if isinstance(path, Path) else path.open() as file:
            if not set(pq.read_schema(file).names) >= set(FAILURE_COLUMNS):
                return
            failed = pq.read_table(file, columns=FAILURE_COLUMNS, filters=[("status", "!=", "success")])
    except (OSError, pa.ArrowException):
        yield Rejected(f"{stem}.parquet", "dataset", "cannot be read, so what was not downloaded is not listed")
        return
    for row in failed.to_pylist():
        # Addresses in memory differ from picture to picture, and say nothing.
        reason = ADDRESS.sub("", f"{row['status']}: {row['error_message']}" if row["error_message"] else row["status"])
        yield Rejected(f"{stem}/{row['key']}", "dataset", sys.intern(reason))
