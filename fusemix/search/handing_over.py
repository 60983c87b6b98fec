"""An index for another engine: parquet, or a collection of Qdrant's.

Place in the flow: Index -> batches of vectors and what is known of items -> files, or points.

Vectors are those of the index without what it adds to scores for hubs, so that inner products are cosines.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float32

from fusemix.disk.files import write_atomic, write_json
from fusemix.errors import ConfigError, OutputError
from fusemix.parts.extras import install, packages_of
from fusemix.search.folder import Index
from fusemix.search.table import ABOUT, ROW, VECTOR, vectors_in

SEAL = "export.json"
FORMAT, VERSION = "fusemix.index_export", 1
ROWS_IN_FILE = 100_000
POINTS_AT_ONCE = 256
Advance = Callable[[int], None]


def batches(index: Index, rows: int) -> Iterator[tuple[Float32[np.ndarray, "some dim"], pa.Table]]:
    """All items, some at a time: unit vectors, and what is known of them, with their positions as `position`."""
    waiting: list[pa.RecordBatch] = []
    for batch in index.columns([VECTOR, *ABOUT.names]):
        waiting.append(batch)
        while sum(map(len, waiting)) >= rows:
            table = pa.Table.from_batches(waiting)
            yield _split(table.slice(0, rows), index.dim)
            waiting = table.slice(rows).to_batches()
    if waiting:
        yield _split(pa.Table.from_batches(waiting), index.dim)


def _split(table: pa.Table, dim: int) -> tuple[Float32[np.ndarray, "some dim"], pa.Table]:
    vectors = vectors_in(table)[:, :dim]
    known = table.select(ABOUT.names).append_column("position", table[ROW].cast(pa.int64()))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True), known


def about(index: Index, counts: Mapping[str, int]) -> dict[str, Any]:
    """What another engine should know of the vectors.

    Args:
        index: that they are of.
        counts: modality -> vectors.
    """
    model = index.description.model
    noted = {"dim": index.dim, "num_items": sum(counts.values()), "counts": dict(counts), "distance": "cosine"}
    return {**noted, "model": model.get("name"), "adapters_sha256": model.get("sha256")}


def write_parquet(index: Index, folder: Path, advance: Advance) -> None:
    """Write an empty folder full: `part-00000.parquet` and so on, and last `export.json`.

    Args:
        index: opened.
        folder: that is there.
        advance: called with the number of items just written.
    """
    counts: Counter[str] = Counter()
    for number, (vectors, known) in enumerate(batches(index, ROWS_IN_FILE)):
        column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), index.dim)
        with write_atomic(folder / f"part-{number:05}.parquet") as file:
            pq.write_table(known.append_column(VECTOR, column), file)
        counts.update(known["modality"].to_pylist())
        advance(len(known))
    write_json(folder / SEAL, {"format": FORMAT, "version": VERSION, **about(index, counts)})


def qdrant(out: str) -> Any:
    """A client of a server, or of a folder in Qdrant's local mode.

    Raises:
        ConfigError: its package is not installed.
        OutputError: another process has the folder.
    """
    try:
        package = import_module("qdrant_client")
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"to=qdrant needs the package {error.name}. Install it with: {install(packages_of('qdrant'))}"
        ) from error
    if out.startswith(("http://", "https://")):
        return package.QdrantClient(url=out, api_key=os.environ.get("QDRANT_API_KEY"))
    try:
        return package.QdrantClient(path=out)
    except RuntimeError as error:
        raise OutputError(f"{out} is in use by another process of Qdrant's local mode: {error}") from error


def write_points(index: Index, client: Any, collection: str, advance: Advance, *, overwrite: bool) -> None:
    """Make a collection of an index; a point's id is the item's position.

    Args:
        index: opened.
        client: see `qdrant`.
        collection: its name.
        advance: called with the number of items just written.
        overwrite: make it anew where it is there.

    Raises:
        OutputError: there is such a collection.
    """
    models = import_module("qdrant_client.models")
    if client.collection_exists(collection):
        if not overwrite:
            raise OutputError(
                f"there is a collection {collection!r} already. Choose another one (--collection), or make it anew "
                "with --overwrite."
            )
        client.delete_collection(collection)
    params = models.VectorParams(size=index.dim, distance=models.Distance.COSINE)
    client.create_collection(collection, vectors_config=params)
    for vectors, known in batches(index, POINTS_AT_ONCE):
        payloads = known.drop_columns(["position"]).to_pylist()
        points = models.Batch(ids=known["position"].to_pylist(), vectors=vectors.tolist(), payloads=payloads)
        client.upsert(collection, points=points)
        advance(len(known))
