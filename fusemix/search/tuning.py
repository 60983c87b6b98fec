"""How far searches look in a large index, chosen by what they find.

Place in the flow: table, queries of each modality -> indexes of the table, and a Depth for each number of results.

Up to FLAT_BELOW items every vector is compared. Above, an inverted file with binary codes (RaBitQ: Gao and Long,
"RaBitQ: Quantizing High-Dimensional Vectors with a Theoretical Error Bound", SIGMOD 2024) finds candidates, whose
vectors decide. What is promised is measured: by queries that are no items of the index, against the exact first ones.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
from jaxtyping import Float32, Int64

from fusemix.search.description import Depth, Description
from fusemix.search.filters import columns_of
from fusemix.search.state import DISTANCE, FLAT_BELOW
from fusemix.search.table import ROW, VECTOR, WORDS, vectors_in

DEPTHS = (10, 100, 1000)
ASKED = 64
"""Queries of each modality, at most."""
ENOUGH_FOUND = 0.98
"""Share of the exact first ones that depths are chosen for."""
PROBES = (16, 32, 64, 128, 256)
CANDIDATES = {10: (200, 800, 3200), 100: (400, 1600, 6400), 1000: (2000, 4000, 16000)}
BITS_PER_LIST = 10
"""About 2^10 items are in a list."""
MOST_LISTS = 4096
"""The time that finding centres takes grows with the square of their number."""
TRAINED_ON, ITERATIONS = 64, 10
"""Vectors a list that centres are found by, and rounds of that."""
GROWN = 1.25
"""Where there are so many times as many items as before, lists are made anew."""
KEPT_FOR = timedelta(days=1)
"""Earlier states of a table, for who still reads them."""
UNINDEXED = 10_000
"""Items that are in no list yet are compared one by one; more are sorted into lists."""


Samples = Callable[[], Mapping[str, Float32[np.ndarray, "queries width"]]]
"""Gives queries that are no items of the index, by modality."""


def tuned(table: Any, about: Description, samples: Samples) -> Description:
    """Bring the indexes of a table up to date; returns what is to be said of it then.

    Args:
        table: with all items.
        about: what was said of it.
        samples: what it is going to be asked; items themselves where that gives nothing.
    """
    size = table.count_rows()
    if size < FLAT_BELOW:
        return replace(about, depths=[], num_tuned=0)
    if about.depths and size <= GROWN * about.num_tuned:
        if size - _num_indexed(table) > UNINDEXED:
            table.optimize(cleanup_older_than=KEPT_FOR)
        return about
    _make_indexes(table, size)
    asked = {modality: queries[:ASKED] for modality, queries in samples().items() if len(queries)}
    asked = asked or {"like": _items_of(table, size, about.dim)}
    return replace(about, depths=list(_depths(table, asked)), num_tuned=size)


def index_words(table: Any) -> None:
    """Let words be found that are written of items; those that came since are looked through one by one."""
    from lancedb.index import FTS

    if WORDS not in table.schema.names:
        return
    named = [one.name for one in table.list_indices() if one.columns == [WORDS]]
    if not named or table.index_stats(named[0]).num_unindexed_rows > UNINDEXED:
        table.create_index(WORDS, config=FTS(with_position=False, stem=False, remove_stop_words=False))


def _items_of(table: Any, size: int, dim: int) -> Float32[np.ndarray, "queries width"]:
    """Items at even distances, as queries for which nothing is added to scores."""
    offsets = np.linspace(0, size - 1, ASKED).astype(np.int64).tolist()
    found = vectors_in(table.take_offsets(offsets).select([VECTOR]).to_arrow())
    found[:, dim:] = 0
    return found


def _num_indexed(table: Any) -> int:
    named = [one for one in table.list_indices() if one.columns == [VECTOR]]
    return table.index_stats(named[0].name).num_indexed_rows if named else 0


def _make_indexes(table: Any, size: int) -> None:
    from lancedb.index import Bitmap, BTree, IvfRq

    lists = min(1 << max(1, (size >> BITS_PER_LIST).bit_length()), MOST_LISTS)
    how = IvfRq(distance_type="dot", num_partitions=lists, max_iterations=ITERATIONS, sample_rate=TRAINED_ON)
    table.create_index(VECTOR, config=how)
    table.create_index("id", config=BTree())
    table.create_index("modality", config=Bitmap())
    for name, kind in columns_of(table.schema).items():
        table.create_index(name, config=Bitmap() if kind == "truth" or name == "camera" else BTree())


def _depths(table: Any, asked: Mapping[str, Float32[np.ndarray, "queries width"]]) -> Iterator[Depth]:
    """For each number of results the first setting that finds enough for queries of each modality; else the best."""
    wanted = {modality: exact(table, queries, DEPTHS[-1]) for modality, queries in asked.items()}
    for k in DEPTHS:
        tried = []
        for probes, candidates in _settings(k):
            found = {
                modality: _share(table, queries, wanted[modality][:, :k], probes, candidates)
                for modality, queries in asked.items()
            }
            tried.append(Depth(k, probes, candidates, found))
            if min(found.values()) >= ENOUGH_FOUND:
                break
        yield max(tried, key=lambda one: min(*one.found.values(), ENOUGH_FOUND))


def _settings(k: int) -> Iterator[tuple[int, int]]:
    """Probes and candidates, in order of what they cost."""
    costs = [(probes * 1000 + 20 * candidates, probes, candidates) for probes in PROBES for candidates in CANDIDATES[k]]
    for _, probes, candidates in sorted(costs):
        yield probes, candidates


def _share(table: Any, queries: np.ndarray, wanted: np.ndarray, probes: int, candidates: int) -> float:
    k, found = wanted.shape[1], 0
    for query, rows in zip(queries, wanted, strict=True):
        asked = table.search(query, vector_column_name=VECTOR).distance_type("dot").limit(k).select([DISTANCE])
        asked = asked.with_row_id(True).nprobes(probes).refine_factor(-(-candidates // k))
        found += len(np.intersect1d(asked.to_arrow()[ROW].to_numpy(), rows))
    return found / wanted.size


def exact(
    table: Any, queries: Float32[np.ndarray, "queries width"], k: int, where: str | None = None
) -> Int64[np.ndarray, "queries k"]:
    """Positions of the first `k` of all items, by comparing each.

    Args:
        table: of the index.
        queries: as it is asked by them.
        k: at most the number of items.
        where: filter of the items that count; None: all.
    """
    import faiss

    scores = np.full((len(queries), k), -np.inf, np.float32)
    positions = np.full((len(queries), k), -1, np.int64)
    items = table.search().select([VECTOR]).with_row_id(True)
    for batch in (items if where is None else items.where(where)).to_batches():
        vectors, rows = vectors_in(batch), batch[ROW].to_numpy().astype(np.int64)
        some, places = faiss.knn(queries, vectors, min(k, len(vectors)), metric=faiss.METRIC_INNER_PRODUCT)
        scores = np.concatenate([scores, some], axis=1)
        positions = np.concatenate([positions, rows[places]], axis=1)
        order = np.argsort(-scores, axis=1)[:, :k]
        scores, positions = np.take_along_axis(scores, order, axis=1), np.take_along_axis(positions, order, axis=1)
    return positions
