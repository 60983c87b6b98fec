"""Visual Genome: pictures with phrases for their regions, from the publishers' `region_descriptions.json`.

Place in the flow: files on disk -> PairSet, of whole pictures or of the regions themselves.
Source: Krishna et al., "Visual Genome", IJCV 2017; counts are of version 1.2 of the region descriptions.
"""

import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
from PIL import Image

from fusemix.datasets.caption_column import parted
from fusemix.datasets.caption_files import CaptionLine
from fusemix.datasets.captioned_files import pair_files
from fusemix.datasets.given_values import captions_in, name_in
from fusemix.datasets.json_stream import stream_list
from fusemix.datasets.pairs import pair_captions
from fusemix.datasets.unsplit import members
from fusemix.disk.files import sha256_of_file
from fusemix.disk.regular import open_regular, read_regular
from fusemix.errors import DatasetError
from fusemix.interfaces import PairSet, Rejected
from fusemix.parts.kinds import Location

FOLDERS = ("VG_100K", "VG_100K_2")
PUBLISHED_PICTURES, PUBLISHED_REGIONS = 108_077, 5_408_689
"""Pictures, and regions with a phrase each."""
ROWS_A_TABLE = 65_536
REGION_SCHEMA = pa.schema(
    {
        "id": pa.string(),
        "path": pa.dictionary(pa.int32(), pa.string()),
        "num_bytes": pa.int64(),
        "mtime_ns": pa.int64(),
        "x": pa.int32(),
        "y": pa.int32(),
        "width": pa.int32(),
        "height": pa.int32(),
        "phrase": pa.string(),
    }
)


def visual_genome(
    *,
    split: str,
    images: Location,
    annotations: Location,
    crops: bool = False,
    fractions: dict[str, float] | None = None,
) -> PairSet:
    """Visual Genome, which was published without splits.

    Args:
        split: `all` or `train`, which hold everything, or one of `fractions`.
        images: folder that holds the folders VG_100K and VG_100K_2.
        annotations: `region_descriptions.json`.
        crops: each region is an item of its own, cut out of its picture; otherwise whole pictures are linked with
            the phrases of all their regions.
        fractions: split -> share of the pictures, drawn by a hash of the picture's id; crops follow their picture.

    Raises:
        DatasetError: something is missing or in another layout.
    """
    folder, regions_file = Path(images), Path(annotations)
    if not regions_file.is_file():
        raise DatasetError(f"visual_genome: there is no file {regions_file}.")
    if not any((folder / name).is_dir() for name in FOLDERS):
        raise DatasetError(f"visual_genome: {folder} has no folder {' or '.join(FOLDERS)}.")
    belongs = members("visual_genome", split, fractions)
    described = (picture for picture in _described(regions_file, _folder_of(folder)) if belongs(picture.id))
    revision = sha256_of_file(regions_file)[:12]
    if crops:
        pairs, published = _pair_crops(split, folder, described, revision), (PUBLISHED_REGIONS, PUBLISHED_REGIONS)
    else:
        pairs = pair_files("visual_genome", "image", split, folder, _phrases(described), revision)
        published = (PUBLISHED_PICTURES, PUBLISHED_REGIONS)
    return pairs if fractions else replace(pairs, published=published)


class _Region(NamedTuple):
    id: str
    phrase: str
    box: tuple[int, int, int, int]
    """Left, top, width and height in pixels, as published: some lie partly or wholly outside of the picture."""


class _Picture(NamedTuple):
    id: str
    file: str
    regions: list[_Region]


def _folder_of(folder: Path) -> dict[str, str]:
    """Id of each picture -> which of the two folders it is in."""
    return {path.stem: name for name in FOLDERS for path in (folder / name).glob("*.jpg")}


def _described(path: Path, folder_of: Mapping[str, str]) -> Iterator[_Picture]:
    """Pictures one at a time: the file is some 700 MB, and ten times that when it is read as a whole."""
    for entry in stream_list(path):
        try:
            name = _id(entry["id"])
            regions = [_region(name, region) for region in entry["regions"]]
        except (KeyError, TypeError, ValueError) as error:
            raise DatasetError(
                f"{path} is not in the layout of region_descriptions.json, a list of {{id, regions: [{{region_id, "
                f"phrase, x, y, width, height}}]}}: {type(error).__name__} {error}"
            ) from error
        yield _Picture(name, f"{folder_of.get(name, FOLDERS[0])}/{name}.jpg", regions)


def _region(picture: str, about: Mapping[str, Any]) -> _Region:
    box = (int(about["x"]), int(about["y"]), int(about["width"]), int(about["height"]))
    [phrase] = captions_in(about["phrase"])
    return _Region(f"{picture}/{_id(about['region_id'])}", phrase, box)


def _id(value: Any) -> str:
    if not (name := name_in(value)):
        raise ValueError("an id is null or empty")
    return name


def _phrases(described: Iterable[_Picture]) -> Iterator[CaptionLine]:
    for picture in described:
        # A picture without any region passes with an empty phrase, so that it is listed as left out.
        for phrase in [region.phrase for region in picture.regions] or [""]:
            yield CaptionLine(picture.file, phrase)


def _pair_crops(split: str, folder: Path, described: Iterable[_Picture], revision: str) -> PairSet:
    regions = _RegionTable(folder)
    for picture in described:
        regions.add(picture)
    media, captions = parted(regions.finished(), "phrase")
    return pair_captions(
        dataset="visual_genome",
        revision=revision,
        split=split,
        modality="image",
        media=media,
        reader=CropReader,
        captions=captions,
        excluded=regions.excluded,
    )


class _RegionTable:
    """Regions of pictures that are there, as Arrow arrays: five million Python objects would not fit."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.excluded: list[Rejected] = []
        self._seen: set[str] = set()
        self._tables: list[pa.Table] = []
        self._rows: list[tuple[Any, ...]] = []

    def add(self, picture: _Picture) -> None:
        path = self.folder / picture.file
        if picture.id in self._seen:
            self._exclude(picture.file, "described more than once: the first description is kept")
            return
        self._seen.add(picture.id)
        try:
            width_and_height, status = _size(path), path.stat()
        except OSError as error:
            reason = f"cannot be read as a picture: {type(error).__name__}"
            self._exclude(picture.file, reason if path.is_file() else f"no such file in {self.folder}")
            return
        if not picture.regions:
            self._exclude(picture.file, "described without any region")
        for region in {region.id: region for region in picture.regions}.values():
            box = clipped(region.box, *width_and_height)
            if box is None:
                self._exclude(region.id, "its box is empty or lies outside of its picture")
            else:
                self._rows.append((region.id, str(path), status.st_size, status.st_mtime_ns, *box, region.phrase))
        if len(self._rows) >= ROWS_A_TABLE:
            self._pack()

    def finished(self) -> pa.Table:
        """The table of everything that was added, which is handed over and not kept."""
        self._pack()
        table = pa.concat_tables(self._tables).unify_dictionaries()
        self._tables = []
        return table

    def _pack(self) -> None:
        columns = list(zip(*self._rows, strict=True)) or [()] * len(REGION_SCHEMA)
        arrays = [pa.array(column, field.type) for column, field in zip(columns, REGION_SCHEMA, strict=True)]
        self._tables.append(pa.Table.from_arrays(arrays, schema=REGION_SCHEMA))
        self._rows = []

    def _exclude(self, item: str, reason: str) -> None:
        self.excluded.append(Rejected(item, "dataset", reason))


def _size(path: Path) -> tuple[int, int]:
    with open_regular(path) as file, Image.open(file) as picture:  # reads the header alone
        return picture.size


def clipped(box: tuple[int, int, int, int], width: int, height: int) -> tuple[int, int, int, int] | None:
    """The part of a box that lies in a picture.

    Args:
        box: left, top, width and height in pixels; may reach beyond the picture.
        width, height: of the picture, in pixels.

    Returns:
        Left, top, width and height, or None where nothing is left.
    """
    left, top = max(box[0], 0), max(box[1], 0)
    right, bottom = min(box[0] + box[2], width), min(box[1] + box[3], height)
    return (left, top, right - left, bottom - top) if right > left and bottom > top else None


@dataclass(frozen=True)
class CropReader:
    """Cuts a region out of its picture."""

    regions: pa.Table

    def __call__(self, row: int) -> Image.Image:
        """The region of a row."""
        path, x, y, width, height = (self.regions[name][row].as_py() for name in ("path", "x", "y", "width", "height"))
        return _picture(path).crop((x, y, x + width, y + height))


@lru_cache(maxsize=2)
def _picture(path: str) -> Image.Image:
    """A whole picture, decoded; kept, since its next region is likely to be asked for next."""
    picture = Image.open(io.BytesIO(read_regular(path)))
    picture.load()
    return picture
