"""Items that two latent sets have in common: what is validated on should not be trained on.

Place in the flow: a side to train on, a side to choose on -> the rows of the second that hold an item of the first.
Told apart by content: names (of texts, the texts) must be equal, and latents too, since two folders may each hold
another picture of one name. A picture that lies under two names is not found.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from jaxtyping import Bool, Int64

from fusemix.latents.galleries import SideItems
from fusemix.latents.item_tables import ROWS_AT_ONCE, TEXT
from fusemix.latents.sets import LatentSet, Side

SAME = 0.01
"""Latents of one item differ by less than this share of their length, whichever machine made them."""
LATENTS_AT_ONCE = 8192


def hold_the_same(one: LatentSet, other: LatentSet) -> bool:
    """Whether two sets hold the same items in the same order, and the same links, by `set.json` and some latents.

    Args:
        one, other: with latents of the same encoders.
    """
    if one.description["links_sha256"] != other.description["links_sha256"]:
        return False
    for side, which in (("left", 0), ("right", 1)):
        if one.description[side]["sha256"] != other.description[side]["sha256"]:
            return False
        first, second = one.sides[which], other.sides[which]
        rows = np.flatnonzero(first.has_latents & second.has_latents)[:LATENTS_AT_ONCE]
        if not _same_latents(first, rows, second, rows).all():
            return False
    return True


def shared_items(train: Side, trained: Int64[np.ndarray, " some"], chosen_on: SideItems) -> Bool[np.ndarray, " items"]:
    """True where an item is among those that are trained on.

    Args:
        train: side of the training set.
        trained: its rows that are trained on, in ascending order.
        chosen_on: what is validated on, with latents of the same encoders.
    """
    wanted = pa.concat_arrays([part.cast(TEXT) for part in _names(chosen_on.side).chunks]).take(
        pa.array(chosen_on.rows)
    )
    shared = np.zeros(len(chosen_on), dtype=bool)
    at = 0
    with pq.ParquetFile(_path(train)) as file:
        for batch in file.iter_batches(ROWS_AT_ONCE, columns=[_key(train)], use_threads=False):
            here = trained[slice(*np.searchsorted(trained, [at, at + len(batch)]))]
            names = batch.column(0).take(pa.array(here - at)).cast(TEXT)
            places = pc.call_function("index_in", [names], pc.SetLookupOptions(wanted))
            found = np.flatnonzero(places.is_valid().to_numpy(zero_copy_only=False))
            place = places.fill_null(0).to_numpy(zero_copy_only=False)[found]
            _mark(shared, train, here[found], chosen_on, place)
            at += len(batch)
    return shared


def _mark(shared: np.ndarray, train: Side, trained: np.ndarray, chosen_on: SideItems, places: np.ndarray) -> None:
    for at in range(0, len(trained), LATENTS_AT_ONCE):
        some = places[at : at + LATENTS_AT_ONCE]
        is_same = _same_latents(train, trained[at : at + LATENTS_AT_ONCE], chosen_on.side, chosen_on.rows[some])
        shared[some[is_same]] = True


def _same_latents(one: Side, rows: np.ndarray, other: Side, others: np.ndarray) -> np.ndarray:
    first, second = one.take(rows).astype(np.float64), other.take(others).astype(np.float64)
    return np.linalg.norm(first - second, axis=1) <= SAME * np.linalg.norm(second, axis=1)


def _path(side: Side) -> Path:
    return side.folder / f"items-{side.modality}.parquet"


def _key(side: Side) -> str:
    return "caption" if "caption" in pq.read_schema(_path(side)).names else "id"


def _names(side: Side) -> pa.ChunkedArray:
    return pq.read_table(_path(side), columns=[_key(side)]).column(0)
