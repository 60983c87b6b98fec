"""Indexes of earlier versions: segments of FAISS files and parquet, read once to be taken over.

Place in the flow: index.json of version 1 to 3, segments/ -> vectors and items, segment by segment.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float32

from fusemix.search.description import INDEX, OF_SEGMENTS, Description, content_of, damaged, telling_damage
from fusemix.search.precision import ranges_of, vectors_of
from fusemix.search.table import ABOUT

SEGMENTS = "segments"
ROWS_AT_ONCE = 65_536


def earlier_description(folder: Path) -> Description | None:
    """What such an index says of itself, as the version of today says it; None where the folder holds none.

    Raises:
        IndexFolderError: it is damaged.
    """
    data = content_of(folder)
    if data is None or data["version"] not in OF_SEGMENTS:
        return None
    try:
        for segment in data["segments"]:
            _ = sum(segment["counts"].values()), bool(segment["probes"]), _name(segment, folder)
        return Description(
            model=dict(data["model"]),
            dim=int(data["dim"]),
            precision="float16" if data.get("precision") == "float16" else "float32",
            hub_queries=list(data.get("hub_queries", [])),
            hub_levels=dict(data.get("hub_levels", {})),
            sources=[dict(source) for source in data["sources"]],
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise damaged(folder / INDEX, "is damaged") from error


def num_items(folder: Path) -> int:
    """How many items such an index holds."""
    data = content_of(folder)
    return sum(sum(segment["counts"].values()) for segment in data["segments"]) if data else 0


def earlier_items(folder: Path, width: int) -> Iterator[tuple[Float32[np.ndarray, "some width"], pa.Table]]:
    """All vectors with what is added to their scores, and what is known of their items, some at a time, in order.

    Args:
        folder: of the index.
        width: numbers of a vector.

    Raises:
        IndexFolderError: a file is missing or damaged.
    """
    data = content_of(folder)
    assert data is not None, "looked at before"
    for segment in data["segments"]:
        path = folder / SEGMENTS / f"{_name(segment, folder)}.faiss"
        with telling_damage(path):
            items = pq.read_table(path.with_suffix(".parquet"), page_checksum_verification=True).cast(ABOUT)
            for start in range(0, len(items), ROWS_AT_ONCE):
                some = items.slice(start, ROWS_AT_ONCE)
                vectors = _vectors(path, start, len(some), bool(segment["probes"]))
                if vectors.shape != (len(some), width) or not np.isfinite(vectors).all():
                    raise damaged(path, f"does not hold vectors of width {width}")
                yield vectors, some


def _name(segment: dict[str, Any], folder: Path) -> str:
    name = str(segment.get("name", f"{int(segment.get('number', 0)):05}"))
    if not name.replace("-", "").isalnum():
        raise damaged(folder / INDEX, f"is damaged: no segment is called {name!r}")
    return name


def _vectors(path: Path, start: int, count: int, has_rows: bool) -> Float32[np.ndarray, "count width"]:
    if has_rows:
        rows: Any = np.load(path.with_suffix(".npy"), mmap_mode="r", allow_pickle=False)
        if rows.dtype != np.uint8:
            return np.asarray(rows[start : start + count]).astype(np.float32)
        ranges = ranges_of(np.array(rows[0]).view(np.int8))  # a first row of exponents, and bytes
        return vectors_of(np.asarray(rows[1 + start : 1 + start + count]), ranges)
    import faiss

    index: Any = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
    return index.reconstruct_n(start, count)
