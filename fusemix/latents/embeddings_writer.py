"""Write embeddings in clip-retrieval's layout, which embeddings_folder.py describes.

Place in the flow: rows of a latent set -> EmbeddingsWriter -> a folder.
Not here: which vectors are written (wiring/caching/export_embeddings.py).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from jaxtyping import Float, Float16, Int64

from fusemix.disk.discarding import (
    Owned,
    beside,
    clear_discarded,
    discard,
    require_free,
    require_ours,
    says,
    take_place,
)
from fusemix.disk.files import read_json, write_atomic, write_json, write_npy
from fusemix.errors import FusemixError, LatentStoreError
from fusemix.latents.embeddings_folder import EXPORT, METADATA, folder_name, shown_column
from fusemix.latents.manifest import STARTED, refuse_difference

FORMAT, VERSION = "fusemix.embeddings", 1
WITHOUT_FORMAT = {"num_rows", "rows_per_file", "items_sha256"}
"""What an export says that an earlier fusemix wrote, which named no format."""


def unit_rows(vectors: Float[np.ndarray, "rows dim"]) -> Float16[np.ndarray, "rows dim"]:
    """Rows divided by their L2 norm, in float16; a row of zeros stays one."""
    largest = np.abs(vectors).max(axis=1, keepdims=True).astype(np.float32)
    scaled = vectors / np.where(largest > 0, largest, 1)  # so that squares neither overflow nor vanish
    norms = np.linalg.norm(scaled, axis=1, keepdims=True)
    return (scaled / np.where(norms > 0, norms, 1)).astype(np.float16)


def metadata_table(sides: Sequence[tuple[str, pa.Table]], links: Int64[np.ndarray, "rows 2"]) -> pa.Table:
    """Metadata of some links, one row each.

    Args:
        sides: modality and item table of the left, then of the right.
        links: (left row, right row).
    """
    columns: dict[str, Any] = {}
    for (modality, table), rows in zip(sides, links.T, strict=True):
        chosen = table.take(pa.array(rows))
        source = "caption" if modality == "text" else "path"
        is_there = source in table.column_names
        columns[shown_column(modality)] = (
            pc.call_function("coalesce", [chosen[source], chosen["id"]]) if is_there else chosen["id"]
        )
        columns[f"{modality}_id"] = chosen["id"]
    return pa.table(columns)


class EmbeddingsWriter:
    """A folder of embeddings in the making; what a killed run has left is gone on with.

    Args:
        folder: of the export.
        modalities: of the left and the right.
        num_rows: links in all.
        rows_per_file: links in every file but the last.
        about: plain data that says what is exported; two exports are the same if it is equal.
        overwrite: replace another export, once this one is sealed; until then it is written beside.

    Attributes:
        goal: folder of the export.
        folder: that is written: `goal`, or beside it.

    Raises:
        LatentStoreError: the folder holds another export.
        OutputError: it holds files of somebody else.
    """

    def __init__(
        self,
        folder: Path,
        *,
        modalities: tuple[str, str],
        num_rows: int,
        rows_per_file: int,
        about: Mapping[str, Any],
        overwrite: bool,
    ) -> None:
        self._modalities = modalities
        self.spans = [range(at, min(at + rows_per_file, num_rows)) for at in range(0, num_rows, rows_per_file)]
        counts = {"num_rows": num_rows, "rows_per_file": rows_per_file}
        self._about = {"format": FORMAT, "version": VERSION, **about, **counts}
        self.goal = folder
        clear_discarded(folder)
        self.folder = self._place(overwrite)
        for name in self._folders():
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        if self.missing():  # also where somebody deleted files of a finished export
            write_json(self.folder / STARTED, self._about)
            (self.folder / EXPORT).unlink(missing_ok=True)

    def _place(self, overwrite: bool) -> Path:
        """Where the export is written: in its folder, or beside another one that it is to replace."""
        try:
            self._refuse_other(self.goal)
        except LatentStoreError:
            if not overwrite or not EMBEDDINGS.is_sealed(self.goal):
                raise
            require_ours(self.goal, EMBEDDINGS)
            place = beside(self.goal)
            try:
                self._refuse_other(place)
            except LatentStoreError:  # what another command began there does not count
                discard(place, EMBEDDINGS)
            return place
        return self.goal

    def _refuse_other(self, folder: Path) -> None:
        if folder.exists() and not folder.is_dir():
            raise LatentStoreError(f"{folder} is a file, but out must name a folder.")
        record = next((folder / name for name in (EXPORT, STARTED) if (folder / name).is_file()), None)
        if record:
            refuse_difference(folder, _about_export(record), self._about)
        require_free(folder, EMBEDDINGS)

    def _folders(self) -> list[str]:
        return [*(folder_name(modality) for modality in self._modalities), METADATA]

    def _paths(self, index: int) -> list[Path]:
        number = str(index).zfill(len(str(len(self.spans))))
        return [
            self.folder / name / f"{name}_{number}.{'parquet' if name == METADATA else 'npy'}"
            for name in self._folders()
        ]

    def missing(self) -> list[int]:
        """Numbers of the files that are still to be written, in order."""
        return [i for i in range(len(self.spans)) if not all(path.is_file() for path in self._paths(i))]

    def write(
        self,
        index: int,
        left: Float[np.ndarray, "rows left_dim"],
        right: Float[np.ndarray, "rows right_dim"],
        metadata: pa.Table,
    ) -> None:
        """Write the three files of one number; vectors are made unit length."""
        *vector_paths, metadata_path = self._paths(index)
        for path, vectors in zip(vector_paths, (left, right), strict=True):
            write_npy(path, np.ascontiguousarray(unit_rows(vectors)))
        with write_atomic(metadata_path) as file:
            pq.write_table(metadata, file)

    def seal(self) -> Path:
        """Say that the export is complete, and put it in its place; returns the file that says so."""
        write_json(self.folder / EXPORT, self._about)
        (self.folder / STARTED).unlink(missing_ok=True)
        if self.folder != self.goal:
            take_place(self.folder, self.goal, EMBEDDINGS)
            self.folder = self.goal
        return self.goal / EXPORT


def _is_sealed(folder: Path) -> bool:
    """Whether all its records say that fusemix wrote the export."""
    records = [folder / name for name in (EXPORT, STARTED) if (folder / name).is_file()]
    return bool(records) and all(map(_is_ours, records))


def _is_ours(record: Path) -> bool:
    if says(record, FORMAT, VERSION):
        return True
    try:
        return _about_export(record).keys() >= WITHOUT_FORMAT
    except LatentStoreError:
        return False


EMBEDDINGS = Owned(
    "an export of embeddings",
    _is_sealed,
    (EXPORT, STARTED, f"{METADATA}/{METADATA}_[0-9]*.parquet", "*_emb/*_emb_[0-9]*.npy"),
)


def _about_export(record: Path) -> dict[str, Any]:
    try:
        return {"format": FORMAT, "version": VERSION, **read_json(record)}
    except (ValueError, TypeError, FusemixError) as error:
        raise LatentStoreError(f"{record} was not written by fusemix, or is damaged. Choose another out.") from error
