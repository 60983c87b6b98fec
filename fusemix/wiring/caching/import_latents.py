"""Import, wired: which rows of somebody's vectors belong in which latent store.

Place in the flow: ImportConfig -> Import: a store to be filled, and the row of each of its items; for a folder
in clip-retrieval's layout also the pair set that it holds.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from fusemix.config import ImportConfig
from fusemix.datasets.given_values import id_text, is_missing
from fusemix.datasets.pairs import file_reader, pair_captions
from fusemix.disk.discarding import goal_of
from fusemix.disk.files import sha256_of_file
from fusemix.errors import ConfigError, LatentStoreError
from fusemix.interfaces import PairSet, Rejected
from fusemix.latents.description import SET, read_description
from fusemix.latents.embeddings_folder import EmbeddingsFolder, shown_column
from fusemix.latents.foreign import Matched, NpyVectors, match_ids, read_ids, require_agreement
from fusemix.latents.item_tables import items_sha256, require_sound, table_problem
from fusemix.latents.subsets import require_whole_set
from fusemix.latents.writer import StoreWriter
from fusemix.parts.kinds import Location

SHARD_SIZE = 8192
"""Rows in one file of an imported store, as in caching."""


class Import(NamedTuple):
    """One store to be filled.

    Attributes:
        writer: of the store.
        item_ids: of its items.
        vectors: where the latents come from.
        matched: which row belongs to which item.
    """

    writer: StoreWriter
    item_ids: list[str]
    vectors: NpyVectors
    matched: Matched

    @property
    def set_folder(self) -> Path:
        """Of its latent set, which may lie beside the one that it is to replace."""
        return self.writer.goal.parent.parent

    @property
    def goal(self) -> Path:
        """Where the store is going to lie."""
        return goal_of(self.set_folder) / self.writer.goal.relative_to(self.set_folder)


def import_into_set(config: ImportConfig) -> Import:
    """Vectors with ids, for one side of a set that is there.

    Raises:
        ConfigError: the set has no such modality.
        LatentStoreError: set, vectors or ids are missing or do not fit each other.
    """
    folder, modality = Path(str(config.latents)), str(config.modality)
    if not (folder / SET).is_file():
        raise LatentStoreError(
            f"{folder} has no {SET}, so it is no latent set. To make one, use clip_retrieval=FOLDER."
        )
    require_whole_set(folder)
    description = read_description(folder / SET)
    about = {description[which]["modality"]: description[which] for which in ("left", "right")}
    sides = {name: side["sha256"] for name, side in about.items()}
    if modality not in sides:
        raise ConfigError(f"modality is {modality!r}, but {folder} pairs {' with '.join(sides)}.")
    path = folder / f"items-{modality}.parquet"
    require_sound(path, table_problem(path, about[modality]["num_items"]))
    table = pq.read_table(path, columns=["id"])
    ids_path, vectors = Path(str(config.ids)), NpyVectors(Path(str(config.vectors)))
    row_ids = read_ids(ids_path)
    if len(row_ids) != len(vectors):
        raise LatentStoreError(f"{ids_path} has {len(row_ids):,} ids, but {vectors.path} has {len(vectors):,} rows.")
    source = {"latents": vectors.sha256(), "ids": sha256_of_file(ids_path)}
    return _import(config, folder, modality, table, sides[modality], vectors, row_ids, source)


def _import(
    config: ImportConfig,
    folder: Path,
    modality: str,
    table: pa.Table,
    table_sha256: str,
    vectors: NpyVectors,
    row_ids: Sequence[str | None],
    source_sha256: dict[str, str],
) -> Import:
    item_ids = table["id"].to_pylist()
    matched = match_ids(item_ids, row_ids)
    if not (matched.rows >= 0).any():
        raise LatentStoreError(
            f"{vectors.path}: none of its {len(row_ids):,} ids is the id of any {modality} item of {folder}. Ids here: "
            f"{', '.join(matched.unknown[:3])}, …; ids there: {', '.join(item_ids[:3])}, … They must be the same words."
        )
    require_agreement(vectors, matched, row_ids)
    encoder = {"family": "imported", "made_by": config.made_by}
    writer = StoreWriter(
        folder / modality / config.name,
        ids=table["id"],
        modality=modality,
        dim=vectors.dim,
        dtype=config.dtype,
        shard_size=SHARD_SIZE,
        fingerprint={"encoder": encoder, "items_sha256": table_sha256, "source_sha256": source_sha256},
        max_bad_fraction=config.max_bad_fraction,
        overwrite=config.overwrite,
    )
    return Import(writer, item_ids, vectors, matched)


class ClipRetrievalSet(NamedTuple):
    """A folder in clip-retrieval's layout as a pair set, with the item of each of its rows.

    Attributes:
        pairs: its items and links.
        row_ids: for the left and the right the id of each row's item; None where a row names none.
    """

    pairs: PairSet
    row_ids: tuple[list[str | None], list[str | None]]


def paired_rows(found: EmbeddingsFolder, dataset: str, split: str) -> ClipRetrievalSet:
    """Repeated pictures and captions as one item each, and a link for each row.

    Args:
        found: the folder.
        dataset, split: what the user calls it.

    Raises:
        DatasetError: no pair is left.
    """
    paths = found.metadata[shown_column(found.modality)].to_pylist()
    names = found.metadata[f"{found.modality}_id"].to_pylist() if found.is_ours else paths
    media_ids = [id_text(name) or None for name in names]
    path_of = {name: str(path) for name, path in zip(reversed(media_ids), reversed(paths), strict=True) if name}
    unique = list(dict.fromkeys(name for name in media_ids if name))
    place_of = {name: place for place, name in enumerate(unique)}
    captions = [_caption(row, caption) for row, caption in enumerate(found.metadata["caption"].to_pylist())]
    pairs = pair_captions(
        dataset=dataset,
        revision=found.metadata_sha256[:12],
        split=split,
        modality=found.modality,
        media=pa.table({"id": pa.array(unique, pa.string()), "path": [path_of[name] for name in unique]}),
        reader=file_reader,
        captions=[(place_of[name], text) for name, text in zip(media_ids, captions, strict=True) if name],
        excluded=[
            Rejected(f"row {row}", "dataset", f"no {shown_column(found.modality)}")
            for row, name in enumerate(media_ids)
            if name is None
        ],
    )
    return ClipRetrievalSet(pairs, (media_ids, _caption_ids(pairs.right.table, captions)))


def _caption(row: int, value: Any) -> str:
    if not isinstance(value, str) and not is_missing(value):
        raise LatentStoreError(f"row {row} of the metadata: its caption is {value!r}, and must be text.")
    return value if isinstance(value, str) else ""


def _caption_ids(table: pa.Table, captions: Sequence[str]) -> list[str | None]:
    id_of = dict(zip(table["caption"].to_pylist(), table["id"].to_pylist(), strict=True))
    spelling: dict[str, str] = {}
    for caption in captions:
        spelling.setdefault(caption.strip(), caption)
    # Another spelling with blanks around is the same item, but its vector may rightly be another one.
    return [id_of.get(text.strip()) if spelling[text.strip()] == text else None for text in captions]


def clip_retrieval(*, split: str, folder: Location, dataset: str) -> PairSet:
    """The same as a data set: what `set.json` names as its source, so that its pictures can be shown.

    Args:
        split: what the user calls it.
        folder: in clip-retrieval's layout.
        dataset: its name.
    """
    return paired_rows(EmbeddingsFolder(Path(folder)), dataset, split).pairs


def source_of(config: ImportConfig) -> dict[str, Any]:
    """What loads the pair set of an imported folder again."""
    options = {"folder": config.clip_retrieval, "dataset": config.dataset}
    return {"name": "clip_retrieval", "options": options}


def imports_of_layout(
    config: ImportConfig, found: EmbeddingsFolder, made: ClipRetrievalSet, folder: Path
) -> list[Import]:
    """Both sides of a folder in clip-retrieval's layout, for the latent set made from it.

    Raises:
        LatentStoreError: rows of one item hold different vectors, or a store is in the way.
    """
    imports = []
    for items, row_ids in zip(made.pairs.sides, made.row_ids, strict=True):
        vectors = found.vectors[items.modality]
        source = {"latents": vectors.sha256(), "ids": found.metadata_sha256}
        imports.append(
            _import(config, folder, items.modality, items.table, items_sha256(items.table), vectors, row_ids, source)
        )
    return imports
