"""Clotho 2.1, from the authors' CSV files beside folders of sounds.

Place in the flow: files on disk -> PairSet with known counts.
Source: Drossos, Lipping & Virtanen, "Clotho", ICASSP 2020; version 2.1 is zenodo.org/record/4783391.

Names of sounds are titles from Freesound. Four of them begin with a space, and version 2.1 replaced characters such as
a colon that many file systems refuse; copies that lost the space, or whose names were made safe again, are found too.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from fusemix.datasets.caption_files import CaptionLine, read_captions
from fusemix.datasets.captioned_files import pair_files
from fusemix.datasets.counted import TalliedLines
from fusemix.disk.files import sha256_of_file
from fusemix.errors import DatasetError
from fusemix.interfaces import PairSet
from fusemix.parts.kinds import Location
from fusemix.split_names import require_known

COUNTS = {"train": (3_839, 19_195), "validation": (1_045, 5_225), "test": (1_045, 5_225)}
"""Clips and captions of each split of version 2.1."""
PUBLISHED_NAME = {"train": "development", "validation": "validation", "test": "evaluation"}
UNSAFE = re.compile(r'\s*[:*?"<>|\\/_]\s*')
"""What file systems refuse, and what version 2.1 has in its place, with the spaces beside it."""


def clotho(*, split: str, clips: Location, annotations: Location, check_counts: bool = True) -> PairSet:
    """Clotho: about 20 seconds of everyday sound, each with five captions.

    Args:
        split: `train` (which the authors call development), `validation` or `test` (evaluation).
        clips: folder that holds the folders development, validation and evaluation.
        annotations: folder of clotho_captions_development.csv, …_validation.csv and …_evaluation.csv.
        check_counts: refuse a copy whose split has not the published size.

    Raises:
        DatasetError: something is missing, or the counts differ.
    """
    split = require_known("clotho", split, COUNTS)
    name = PUBLISHED_NAME[split]
    table, folder = Path(annotations) / f"clotho_captions_{name}.csv", Path(clips) / name
    if not table.is_file():
        raise DatasetError(f"clotho: there is no file {table}.")
    lines = read_captions(table, file_column="file_name", caption_column=None)
    tallied = TalliedLines(_as_on_disk(lines, folder))
    pairs = pair_files("clotho", "audio", split, folder, tallied, sha256_of_file(table)[:12])
    return tallied.require(pairs, COUNTS[split]) if check_counts else pairs


def _as_on_disk(lines: Iterable[CaptionLine], folder: Path) -> Iterator[CaptionLine]:
    """The same lines with the file's name as this copy spells it, where only one file can be meant."""
    present: dict[str, list[str]] = {}
    for path in sorted(folder.glob("*")):
        present.setdefault(_plain(path.name), []).append(path.name)
    for line in lines:
        alike = present.get(_plain(line.file), [])
        yield line._replace(file=alike[0]) if len(alike) == 1 else line


def _plain(name: str) -> str:
    stem, dot, ending = name.rpartition(".")
    return UNSAFE.sub("_", stem.strip()) + dot + ending.strip().lower()
