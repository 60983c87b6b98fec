"""Embeddings in the layout of clip-retrieval, which embedding-reader and autofaiss read too.

Place in the flow: rows of a latent set -> EmbeddingsWriter -> a folder; such a folder -> EmbeddingsFolder.
Not here: which vectors are written (build/export_embeddings.py).

Files of the folder:
    img_emb/img_emb_0.npy …           (rows, dim) float16, unit length; for sounds audio_emb/audio_emb_0.npy
    text_emb/text_emb_0.npy …         the same rows
    metadata/metadata_0.parquet …     the same rows: image_path (audio_path), caption, and our ids
    export.json                       ours, written last: what was exported; started.json until then
Readers sort file names as text, so numbers are padded to one width: text order is row order. Row i of one
file belongs to row i of the file of the same number in the other folders.
Source: clip_retrieval/clip_inference/writer.py and embedding_reader/get_file_list.py, both by Romain Beaumont.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from jaxtyping import Float, Float16, Int64

from fusemix.errors import FusemixError, LatentStoreError
from fusemix.files import (
    clear_discarded,
    discard_folder,
    read_json,
    remove_file,
    sha256_of_file,
    sha256_of_json,
    write_atomic,
    write_json,
    write_npy,
)
from fusemix.latents.file_order import files_in_order, last_numbers
from fusemix.latents.foreign import NpyVectors
from fusemix.latents.manifest import STARTED, refuse_difference
from fusemix.out_folder import is_empty
from fusemix.system_names import is_system_name

EXPORT = "export.json"
METADATA = "metadata"
SHORT = {"image": "img"}
"""Modalities that the layout abbreviates."""


def folder_name(modality: str) -> str:
    """Folder of a modality's vectors; also how its files begin."""
    return f"{SHORT.get(modality, modality)}_emb"


def shown_column(modality: str) -> str:
    """Metadata column that shows an item."""
    return "caption" if modality == "text" else f"{modality}_path"


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
        overwrite: discard the embeddings and metadata of an earlier export; other files are left alone.

    Raises:
        LatentStoreError: the folder holds something else.
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
        self.folder, self._modalities = folder, modalities
        self.spans = [range(at, min(at + rows_per_file, num_rows)) for at in range(0, num_rows, rows_per_file)]
        self._about = {**about, "num_rows": num_rows, "rows_per_file": rows_per_file}
        try:
            self._refuse_other()
        except LatentStoreError:
            if not overwrite or folder.is_file():
                raise
            self._discard()
        for name in self._folders():
            (folder / name).mkdir(parents=True, exist_ok=True)
        if self.missing():  # also where somebody deleted files of a finished export
            write_json(folder / STARTED, self._about)
            (folder / EXPORT).unlink(missing_ok=True)

    def _refuse_other(self) -> None:
        if self.folder.exists() and not self.folder.is_dir():
            raise LatentStoreError(f"{self.folder} is a file, but out must name a folder.")
        record = next((self.folder / name for name in (EXPORT, STARTED) if (self.folder / name).is_file()), None)
        if record:
            refuse_difference(self.folder, _about_export(record), self._about)
        elif self.folder.is_dir() and not is_empty(self.folder):
            raise LatentStoreError(
                f"{self.folder} is not empty, and holds no export of fusemix. Choose another out, or write beside what "
                "is there with overwrite=true."
            )

    def _discard(self) -> None:
        """Delete what an export of ours has written, and nothing else: `out` may be any folder of the user's.

        Its record goes last, so that what a killed command has left is still known for that export.
        """
        clear_discarded(self.folder)
        records = [self.folder / name for name in (EXPORT, STARTED) if (self.folder / name).is_file()]
        names = {METADATA, *(folder_name(name) for path in records for name in read_json(path).get("items_sha256", ()))}
        for path in (self.folder / name for name in sorted({*names, *self._folders()})):
            if path.is_dir() and records:
                discard_folder(path)
            elif path.is_dir() and any(path.iterdir()):
                raise LatentStoreError(
                    f"{path} holds files that fusemix did not write. Move them, or choose another out."
                )
        for path in records:
            remove_file(path)

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
        """Say that the export is complete; returns the file that says so."""
        write_json(self.folder / EXPORT, self._about)
        (self.folder / STARTED).unlink(missing_ok=True)
        return self.folder / EXPORT


def _about_export(record: Path) -> dict[str, Any]:
    try:
        return dict(read_json(record))
    except (ValueError, TypeError, FusemixError) as error:
        raise LatentStoreError(f"{record} was not written by fusemix, or is damaged. Choose another out.") from error


class EmbeddingsFolder:
    """A folder in this layout, whoever wrote it.

    Args:
        folder: with two folders of embeddings, one of them text_emb, and metadata.

    Attributes:
        modality: of what is not text.
        vectors: modality -> its rows.
        metadata: one row each; columns that identify and show the items.

    Raises:
        LatentStoreError: folders are missing or unfinished, or do not have the same rows.
    """

    def __init__(self, folder: Path) -> None:
        if (folder / STARTED).is_file():
            raise LatentStoreError(f"{folder} is an export that did not end. Give the same export command again.")
        self.folder = folder
        self.modality = _media_modality(folder)
        self.vectors = {m: NpyVectors(folder / folder_name(m)) for m in (self.modality, "text")}
        files = files_in_order(folder / METADATA, ".parquet")
        self.metadata = self._read_metadata(files)
        self.metadata_sha256 = sha256_of_json([sha256_of_file(file) for file in files])
        self._require_same_rows(files)

    @property
    def is_ours(self) -> bool:
        """Whether fusemix wrote it, so that its ids are those of items."""
        return (self.folder / EXPORT).is_file()

    def _read_metadata(self, files: Sequence[Path]) -> pa.Table:
        wanted = [shown_column(self.modality), "caption", *([f"{self.modality}_id"] if self.is_ours else [])]
        tables = []
        for file in files:
            missing = set(wanted) - set(pq.read_schema(file).names)
            if missing:
                raise LatentStoreError(
                    f"{file} has no column {', '.join(sorted(missing))}; it cannot say what a row is."
                )
            tables.append(pq.read_table(file, columns=wanted))
        if not tables:
            raise LatentStoreError(f"there is no .parquet file in {self.folder / METADATA}, which names the rows.")
        return pa.concat_tables(tables, promote_options="permissive")

    def _require_same_rows(self, metadata_files: Sequence[Path]) -> None:
        counts = [pq.read_metadata(file).num_rows for file in metadata_files]
        for modality, vectors in self.vectors.items():
            if vectors.counts != counts or last_numbers(vectors.files) != last_numbers(metadata_files):
                raise LatentStoreError(
                    f"{self.folder}: {folder_name(modality)} has {len(vectors):,} rows in {len(vectors.files)} files, "
                    f"but {METADATA} has {sum(counts):,} in {len(counts)}, or they are cut in other places or numbered "
                    "in another way, so rows cannot be joined. Copy the folder again, or write it anew."
                )


def _media_modality(folder: Path) -> str:
    if not folder.is_dir():
        raise LatentStoreError(f"there is no folder {folder}.")
    places = (path for path in folder.glob("*_emb") if path.is_dir() and not is_system_name(path.name))
    found = sorted(path.name.removesuffix("_emb") for path in places)
    media = [{short: name for name, short in SHORT.items()}.get(name, name) for name in found if name != "text"]
    if "text" not in found or len(media) != 1:
        raise LatentStoreError(
            f"{folder} holds {', '.join(f'{name}_emb' for name in found) or 'no *_emb folder'}, but a latent set pairs "
            "text_emb with one other, such as img_emb. To import one side alone: set=FOLDER modality=image latents=…"
        )
    return media[0]
