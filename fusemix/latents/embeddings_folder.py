"""Embeddings in the layout of clip-retrieval, which embedding-reader and autofaiss read too.

Place in the flow: a folder in this layout -> EmbeddingsFolder. embeddings_writer.py writes one.

Files of the folder:
    img_emb/img_emb_0.npy …           (rows, dim) float16, unit length; for sounds audio_emb/audio_emb_0.npy
    text_emb/text_emb_0.npy …         the same rows
    metadata/metadata_0.parquet …     the same rows: image_path (audio_path), caption, and our ids
    export.json                       ours, written last: what was exported; started.json until then
Readers sort file names as text, so numbers are padded to one width: text order is row order. Row i of one
file belongs to row i of the file of the same number in the other folders.
Source: clip_retrieval/clip_inference/writer.py and embedding_reader/get_file_list.py, both by Romain Beaumont.
"""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from fusemix.disk.files import (
    sha256_of_file,
    sha256_of_json,
)
from fusemix.disk.system_names import is_system_name
from fusemix.errors import LatentStoreError
from fusemix.latents.file_order import files_in_order, last_numbers
from fusemix.latents.foreign import NpyVectors
from fusemix.latents.manifest import STARTED

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
                    "in another way, so rows cannot be joined. Copy the folder again, or write it again."
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
            "text_emb with one other, such as img_emb. To import one side alone: latents=SET modality=image vectors=…"
        )
    return media[0]
