"""Pictures, sounds and texts that nobody has paired: data sets of one side, for `unpaired` of training.

Place in the flow: a folder or a file of lines -> PairSet without links, whose other side holds nothing.
"""

import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa

from fusemix.datasets.folder import files_of, items_of
from fusemix.datasets.pairs import TextReader
from fusemix.errors import DatasetError
from fusemix.interfaces import Items, PairSet
from fusemix.parts.kinds import Location
from fusemix.remote.paths import located

NOUNS = {"image": "pictures", "audio": "sounds"}


def images(*, split: str, folder: Location) -> PairSet:
    """Pictures without captions: all in a folder and those below it.

    Args:
        split: any name, such as `all`.
        folder: where they lie, on this machine or behind a URL.

    Raises:
        DatasetError: the folder is not there, or holds no picture.
    """
    return _of_files("images", "image", split, folder)


def sounds(*, split: str, folder: Location) -> PairSet:
    """Sounds without captions: all in a folder and those below it.

    Args:
        split: any name, such as `all`.
        folder: where they lie, on this machine or behind a URL.

    Raises:
        DatasetError: the folder is not there, or holds no sound.
    """
    return _of_files("sounds", "audio", split, folder)


def texts(*, split: str, file: Location) -> PairSet:
    """Texts without pictures or sounds: the lines of a file, each once.

    Args:
        split: any name, such as `all`.
        file: of texts in UTF-8, one a line; empty lines are passed over.

    Raises:
        DatasetError: the file is not there, is not UTF-8, or holds no text.
    """
    path = Path(file).expanduser()
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError as error:
        raise DatasetError(f"there is no file {path}.") from error
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path} is not UTF-8 ({error.reason} at byte {error.start}). Convert it.") from error
    words = list(dict.fromkeys(filter(None, (line.strip() for line in lines))))
    if not words:
        raise DatasetError(f"{path} holds no text.")
    table = pa.table({"id": [f"line-{number}" for number in range(len(words))], "caption": words})
    revision = hashlib.sha256("\n".join(words).encode()).hexdigest()[:12]
    nothing = Items("image", _nothing("path"), _unreadable)
    return PairSet("texts", revision, split, nothing, Items("text", table, TextReader(table["caption"])), _no_links())


def _of_files(name: str, modality: str, split: str, folder: str) -> PairSet:
    where = located(folder)
    files = files_of(where.expanduser() if isinstance(where, Path) else where)
    if modality not in files.paths:
        raise DatasetError(f"{folder} holds no {NOUNS[modality]}.")
    paths = files.paths[modality]
    items = items_of(where.expanduser() if isinstance(where, Path) else where, modality, paths)
    revision = hashlib.sha256("\n".join(paths).encode()).hexdigest()[:12]
    nothing = Items("text", _nothing("caption"), _unreadable)
    return PairSet(name, revision, split, items, nothing, _no_links(), tuple(files.excluded))


def _nothing(column: str) -> pa.Table:
    return pa.table({"id": pa.array([], pa.string()), column: pa.array([], pa.string())})


def _no_links() -> np.ndarray:
    return np.empty((0, 2), dtype=np.int64)


def _unreadable(row: int) -> bytes:
    raise LookupError(row)
