"""What a search that does not look at every item loses against exact search, and what it gains.

Place in the flow: embeddings, exact results, FAISS factories -> rows of a table.
An index's loss is not the model's: the figures of the model come from exact ranks alone.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Int64

from fusemix.retrieval.index import search_approximately, share_found
from fusemix.retrieval.listing import Top
from fusemix.retrieval.metrics import Direction

DEFINITIONS = {
    "exact_at_1": "Share of queries whose best item by the index is the best by exact search.",
    "exact_at_10": "Share of the first 10 items of exact search that the index finds among its first 10.",
    "recall_by_index": "recall_at_k with the index's lists in place of exact ranks; ties are as the index puts them.",
}


def index_rows(
    direction: Direction,
    queries: Float32[np.ndarray, "queries dim"],
    gallery: Float32[np.ndarray, "items dim"],
    is_linked: Callable[[Int64[np.ndarray, "queries k"]], Bool[np.ndarray, "queries k"]],
    exact: Top,
    indexes: Mapping[str, str],
    ks: Sequence[int],
) -> list[dict[str, Any]]:
    """One row for each index.

    Args:
        direction: what was measured.
        queries: of this direction, in the order of its ranks; unit length.
        gallery: unit length.
        is_linked: positions found -> whether they belong to their query.
        exact: what exact search found, at least max(ks) deep.
        indexes: FAISS factory -> search parameters.
        ks: depths of recall.

    Raises:
        ConfigError: FAISS cannot make one of them.
    """
    rows = []
    for factory, parameters in indexes.items():
        found = search_approximately(queries, gallery, exact.positions.shape[1], factory, parameters)
        hits = is_linked(found.top.positions)
        ten = min(10, exact.positions.shape[1])
        rows.append(
            {
                "direction": direction.name,
                "factory": factory,
                "parameters": parameters,
                "exact_at_1": share_found(found.top.positions[:, :1], exact.positions[:, :1]),
                "exact_at_10": share_found(found.top.positions[:, :ten], exact.positions[:, :ten]),
                "metrics": {f"recall_at_{k}": float(hits[:, :k].any(axis=1).mean()) for k in ks},
                "build_sec": found.build_sec,
                "search_ms_per_query": found.search_ms_per_query,
                "num_bytes": found.num_bytes,
            }
        )
    return rows
