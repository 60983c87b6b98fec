"""A latent set: item tables, links and latent stores of one pair set.

Place in the flow: PairSet -> write_set -> a folder that encoders fill; LatentSet reads it.

Files of a set:
    set.json                 sealed last
    items-<modality>.parquet row order is the truth
    links.parquet            left_row, right_row
    quarantine.jsonl         what the data set named but could not give
    <modality>/<encoder>/    latent stores
"""

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from jaxtyping import Bool, Float, Int64

from fusemix.errors import ConfigError, LatentStoreError
from fusemix.files import read_json, write_atomic, write_json, write_jsonl
from fusemix.interfaces import PairSet
from fusemix.latents.manifest import QUARANTINE, refuse_difference
from fusemix.latents.records import read_quarantine
from fusemix.latents.store import LatentStore, concatenated

SET = "set.json"
FORMAT = "fusemix.latent_set"
VERSION = 1
NOT_IDENTITY = {"path"}
"""Columns that may change without the item being another one: files can be moved."""
TEXT = pa.large_string()
ROWS_AT_ONCE = 65_536
ROWS_IN_GROUP = 2 * ROWS_AT_ONCE
LINK_COLUMNS = pa.schema([("left_row", pa.int64()), ("right_row", pa.int64())])


def items_sha256(table: pa.Table) -> str:
    """Hash of an item table's rows, in order, whatever the version of parquet.

    Hashed are the names of the columns as a JSON list, and every row as one, with nothing in between.
    """
    columns = [name for name in table.column_names if name not in NOT_IDENTITY]
    digest = hashlib.sha256(json.dumps(columns).encode())
    for batch in table.select(columns).to_batches(max_chunksize=ROWS_AT_ONCE):
        digest.update(_json_rows(batch))
    return digest.hexdigest()


def _json_rows(batch: pa.RecordBatch) -> memoryview:
    """The rows as `json.dumps(row, ensure_ascii=False)` writes them, put together by Arrow, seven times as fast."""
    rows = _joined("[", _joined(*map(_json_values, batch.columns), between=", "), "]")
    _, offsets, letters = rows.buffers()
    return memoryview(letters)[: np.frombuffer(offsets, dtype=np.int64)[len(rows)]]


def _json_values(column: pa.Array) -> pa.Array:
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_integer(column.type) and not column.null_count:
        return column.cast(TEXT)
    if (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)) and not column.null_count:
        text = column.cast(TEXT)
        has_control = pc.call_function("match_substring_regex", [text], pc.MatchSubstringOptions("[\\x00-\\x1f]"))
        if not has_control.true_count:
            for mark in "\\", '"':
                text = pc.call_function("replace_substring", [text], pc.ReplaceSubstringOptions(mark, f"\\{mark}"))
            return _joined('"', text, '"')
    return pa.array([json.dumps(value, ensure_ascii=False) for value in column.to_pylist()], TEXT)


def _joined(*parts: pa.Array | str, between: str = "") -> pa.Array:
    return pc.call_function(
        "binary_join_element_wise",
        [*(pa.scalar(part, TEXT) if isinstance(part, str) else part for part in parts), pa.scalar(between, TEXT)],
    )


def write_set(folder: Path, pairs: PairSet, source: Mapping[str, Any], *, overwrite: bool = False) -> None:
    """Write tables, links and `set.json`; does nothing where the same set is there already.

    Args:
        folder: of the set.
        pairs: what is written.
        source: plain data that loads the pair set again: name and options of the data set.
        overwrite: discard another set, with its latents.

    Raises:
        LatentStoreError: the folder holds another set.
    """
    if pairs.left.modality == pairs.right.modality:
        raise ConfigError(f"{pairs.dataset}: both sides are {pairs.left.modality}; fusemix aligns two modalities.")
    wanted = _describe(pairs, source)
    path = folder / SET
    if path.is_file():
        try:
            identity = {key: value for key, value in wanted.items() if key != "source"}
            recorded = {key: value for key, value in read_json(path).items() if key != "source"}
            refuse_difference(folder, recorded, identity)
            return
        except LatentStoreError:
            if not overwrite:
                raise
            shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for items in pairs.sides:
        _write_parquet(folder / f"items-{items.modality}.parquet", items.table)
    _write_links(folder / "links.parquet", pairs.links)
    write_jsonl(folder / QUARANTINE, (rejected._asdict() for rejected in pairs.excluded))
    write_json(path, wanted)


def _write_parquet(path: Path, table: pa.Table) -> None:
    with write_atomic(path) as file:
        pq.write_table(table, file, row_group_size=ROWS_IN_GROUP)


def _read_parquet(path: Path) -> pa.Table:
    """A table, copied batch by batch to where an array takes no more room than it needs.

    Of many arrays of some MB, Arrow's usual allocator keeps nearly twice their size.
    """
    pool = pa.system_memory_pool()
    batches = []
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(ROWS_AT_ONCE, use_threads=False):
            # Arrow copies where there are two arrays to join, if only one of them holds anything.
            columns = [pa.concat_arrays([column, column.slice(0, 0)], memory_pool=pool) for column in batch.columns]
            batches.append(pa.record_batch(columns, schema=batch.schema))
        return pa.Table.from_batches(batches, file.schema_arrow)


def _read_links(path: Path) -> Int64[np.ndarray, "links 2"]:
    with pq.ParquetFile(path) as file:
        links, at = np.empty((file.metadata.num_rows, 2), dtype=np.int64), 0
        for batch in file.iter_batches(ROWS_AT_ONCE, use_threads=False):
            for place, name in enumerate(LINK_COLUMNS.names):
                links[at : at + len(batch), place] = batch[name].to_numpy()
            at += len(batch)
    return links


def _write_links(path: Path, links: Int64[np.ndarray, "links 2"]) -> None:
    with write_atomic(path) as file, pq.ParquetWriter(file, LINK_COLUMNS) as writer:
        for at in range(0, len(links), ROWS_IN_GROUP):
            part = links[at : at + ROWS_IN_GROUP]
            writer.write_table(pa.table([part[:, 0], part[:, 1]], schema=LINK_COLUMNS))


def _describe(pairs: PairSet, source: Mapping[str, Any]) -> dict[str, Any]:
    def side(items: Any) -> dict[str, Any]:
        return {"modality": items.modality, "num_items": len(items), "sha256": items_sha256(items.table)}

    return {
        "format": FORMAT,
        "version": VERSION,
        "dataset": pairs.dataset,
        "revision": pairs.revision,
        "split": pairs.split,
        "left": side(pairs.left),
        "right": side(pairs.right),
        "num_links": len(pairs.links),
        "links_sha256": hashlib.sha256(np.ascontiguousarray(pairs.links, dtype="<i8").data).hexdigest(),
        "num_excluded": len(pairs.excluded),
        "source": dict(source),
    }


@dataclass(frozen=True)
class Side:
    """One side of a latent set, with the latents chosen for it.

    Attributes:
        modality: of the items.
        table: item table.
        stores: latent stores, concatenated in this order.
        valid: false where an item has no latent in one of the stores.
    """

    modality: str
    table: pa.Table
    stores: tuple[LatentStore, ...]
    valid: Bool[np.ndarray, " items"]

    @property
    def dim(self) -> int:
        """Width of the concatenated latents."""
        return sum(store.dim for store in self.stores)

    @property
    def fingerprints(self) -> list[dict[str, Any]]:
        """What made the latents, in order."""
        return [store.fingerprint for store in self.stores]

    def take(self, rows: Int64[np.ndarray, " n"]) -> Float[np.ndarray, "n dim"]:
        """Latents of some rows, gathered in one call."""
        return concatenated(self.stores, rows)


class LatentSet:
    """A latent set, opened with chosen encoders.

    Args:
        folder: of the set.
        encoders: modality -> names of latent stores.

    Attributes:
        left, right: the sides.
        links: (left row, right row) between items that have latents on both sides.
        description: content of `set.json`.

    Raises:
        LatentStoreError: the set or a store is missing, unfinished, damaged, or belongs to other items.
        ConfigError: a modality has no encoder.
    """

    def __init__(self, folder: Path, encoders: Mapping[str, Sequence[str]]) -> None:
        self.folder = folder
        path = folder / SET
        if not path.is_file():
            raise LatentStoreError(f"{folder} has no {SET}, so it is no latent set. Run cache_features.py first.")
        self.description: dict[str, Any] = read_json(path)
        self.left = self._side("left", encoders)
        self.right = self._side("right", encoders)
        links = _read_links(folder / "links.parquet")
        usable = self.left.valid[links[:, 0]] & self.right.valid[links[:, 1]]
        self.links = links if usable.all() else links[usable]
        if len(self.links) == 0:
            raise LatentStoreError(f"{folder}: no pair has latents on both sides. See quarantine.jsonl of the stores.")

    @property
    def sides(self) -> tuple[Side, Side]:
        """Left, then right."""
        return self.left, self.right

    @property
    def name(self) -> str:
        """Data set and split, for people."""
        return f"{self.description['dataset']}/{self.description['split']}"

    @property
    def num_unusable(self) -> int:
        """What the data set named and could not give, and items without latent."""
        return _count_lines(self.folder / QUARANTINE) + sum(int((~side.valid).sum()) for side in self.sides)

    def _side(self, which: str, encoders: Mapping[str, Sequence[str]]) -> Side:
        about = self.description[which]
        modality = about["modality"]
        if modality not in encoders:
            raise ConfigError(
                f"{self.folder} pairs {self.description['left']['modality']} with "
                f"{self.description['right']['modality']}, but encoders names only: {', '.join(encoders)}."
            )
        table = _read_parquet(self.folder / f"items-{modality}.parquet")
        stores = tuple(LatentStore(self.folder / modality / slug) for slug in encoders[modality])
        valid = np.ones(len(table), dtype=bool)
        for store in stores:
            if store.manifest.fingerprint["items_sha256"] != about["sha256"]:
                raise LatentStoreError(
                    f"{store.folder} was made from other items than {self.folder / SET} names. "
                    "Cache it again with overwrite=true."
                )
            rejected = pa.array([rejected.id for rejected in read_quarantine(store.folder)], table["id"].type)
            valid &= ~pc.call_function("is_in", [table["id"]], pc.SetLookupOptions(rejected)).to_numpy()
        return Side(modality, table, stores, valid)


def _count_lines(path: Path) -> int:
    if not path.is_file():
        return 0
    with path.open("rb") as file:
        return sum(1 for line in file if line.strip())
