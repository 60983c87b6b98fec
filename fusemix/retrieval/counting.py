"""How many unlinked items reach given scores, for rows and columns at once; exact, in bounded memory.

Place in the flow: embeddings, links, thresholds -> counts -> ranks.py.
The matrix of scores is never held: it is made tile by tile, and each tile serves both directions before the next one
takes its place. What evaluation costs beyond one matrix product is some comparisons on data in the cache.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int64
from torch import Tensor

WORDS = 255
"""Truth values that a byte can count."""
THREAD_ROWS = 16
"""Rows that one thread compares at a time: as many as a core's cache holds."""
CPU_TILE = (64 * THREAD_ROWS, 8 * 16 * WORDS)
DEVICE_TILE = (8192, 8192)
"""Rows and columns of scores made in one product: 134 MB on a CPU, 268 MB on a GPU. Wide, since numpy compares long
rows several times as fast as short ones."""


class Share(NamedTuple):
    """Which part of the work is this process's, and how the counts of all processes are added up."""

    rank: int
    num_processes: int
    total: Callable[[Int64[np.ndarray, "..."]], Int64[np.ndarray, "..."]]


ALONE = Share(0, 1, lambda counts: counts)


class Thresholds(NamedTuple):
    """Scores to be reached, some for each row and some for each column; infinity is never reached."""

    rows: Float32[np.ndarray, "per_row rows"]
    columns: Float32[np.ndarray, "per_column columns"]

    def within(self, rows: slice, columns: slice) -> "Thresholds":
        """Those of some rows and columns."""
        return Thresholds(self.rows[:, rows], self.columns[:, columns])


class Shift(NamedTuple):
    """What is added to the score of a row and a column: the product of their two numbers."""

    rows: Float32[Tensor, " rows"]
    columns: Float32[Tensor, " columns"]


class Counts(NamedTuple):
    """Unlinked items that reach each threshold."""

    rows: Int64[np.ndarray, "per_row rows"]
    columns: Int64[np.ndarray, "per_column columns"]

    @classmethod
    def none(cls, thresholds: Thresholds) -> "Counts":
        """Nought for each threshold."""
        return cls(*(np.zeros(side.shape, dtype=np.int64) for side in thresholds))

    def add(self, rows: slice, columns: slice, counts: "Counts") -> None:
        """Add what was found in some rows and columns."""
        self.rows[:, rows] += counts.rows
        self.columns[:, columns] += counts.columns


def count_unlinked(
    left: Float32[Tensor, "rows dim"],
    right: Float32[Tensor, "columns dim"],
    links: Int64[np.ndarray, "links 2"],
    thresholds: Thresholds,
    *,
    shift: Shift | None = None,
    share: Share = ALONE,
    advance: Callable[[int], None] = lambda count: None,
) -> Counts:
    """Count, in every row and every column of `left @ right.T`, the unlinked entries that reach each threshold.

    Args:
        left, right: on one device; their products are in full float32, whatever torch is set to.
        links: (row, column), each pair once, in order of rows.
        thresholds: of each row and column.
        shift: added to the scores.
        share: where several processes divide the work; all of them get all counts.
        advance: told the number of rows that are done.
    """
    if len(left) > len(right):
        turned = links[np.argsort(links[:, 1], kind="stable")][:, ::-1]
        other = Shift(*shift[::-1]) if shift else None
        how: dict[str, Any] = {"shift": other, "share": share, "advance": advance}
        return Counts(*count_unlinked(right, left, turned, Thresholds(*thresholds[::-1]), **how)[::-1])
    on_cpu = left.device.type == "cpu"
    height, width = CPU_TILE if on_cpu else DEVICE_TILE
    height = min(height, max(1, -(-len(left) // share.num_processes)))  # so that there is work for each
    counts = Counts.none(thresholds)
    buffer = torch.empty(min(height, len(left)) * min(width, len(right)), device=left.device)
    reached = np.zeros((min(height, len(left)) if on_cpu else 0, width), dtype=bool)
    with full_float32(), ThreadPoolExecutor(torch.get_num_threads()) as pool:
        for top in range(share.rank * height, len(left), share.num_processes * height):
            rows = slice(top, min(top + height, len(left)))
            linked = links[slice(*np.searchsorted(links[:, 0], [rows.start, rows.stop]))]
            for start in range(0, len(right), width):
                columns = slice(start, min(start + width, len(right)))
                shape = (rows.stop - rows.start, columns.stop - columns.start)
                scores = buffer[: shape[0] * shape[1]].view(shape)
                torch.mm(left[rows], right[columns].T, out=scores)
                if shift:
                    scores.addr_(shift.rows[rows], shift.columns[columns])
                here = thresholds.within(rows, columns)
                found = _count_on_cpu(scores.numpy(), here, reached, pool) if on_cpu else _count_on_device(scores, here)
                in_tile = linked[(linked[:, 1] >= columns.start) & (linked[:, 1] < columns.stop)]
                _leave_out(found, scores, in_tile - [rows.start, columns.start], here)
                counts.add(rows, columns, found)
            advance(rows.stop - rows.start)
    return Counts(*(share.total(side) for side in counts))


@contextmanager
def full_float32() -> Iterator[None]:
    """Products in full float32: neither TF32 nor autocast, which training may have turned on."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.autocast("cuda", enabled=False), torch.autocast("cpu", enabled=False):
            yield
    finally:
        torch.set_float32_matmul_precision(before)


def _count_on_cpu(
    scores: Float32[np.ndarray, "rows columns"],
    thresholds: Thresholds,
    reached: Bool[np.ndarray, "height width"],
    pool: ThreadPoolExecutor,
) -> Counts:
    """All entries that reach the thresholds, some rows a thread; `reached` is room to work in."""
    counts, columns = Counts.none(thresholds), slice(0, scores.shape[1])
    reached[:, columns.stop :] = False
    blocks = [slice(top, min(top + THREAD_ROWS, len(scores))) for top in range(0, len(scores), THREAD_ROWS)]

    def count(rows: slice) -> Counts:
        return _count_block(scores[rows], thresholds.within(rows, columns), reached[rows])

    for rows, found in zip(blocks, pool.map(count, blocks), strict=True):
        counts.add(rows, columns, found)
    return counts


def _count_block(
    scores: Float32[np.ndarray, "rows columns"], thresholds: Thresholds, reached: Bool[np.ndarray, "rows width"]
) -> Counts:
    """Eight at a time: the truth values of eight columns are the bytes of one word, and words are added."""
    height, width = scores.shape
    inside, words = reached[:, :width], reached.view(np.int64).reshape(height, -1, WORDS)
    counts = Counts.none(thresholds)
    for place, one_a_row in enumerate(thresholds.rows):
        np.greater_equal(scores, one_a_row[:, None], out=inside)
        counts.rows[place] = words.sum(axis=2).view(np.uint8).sum(axis=1)
    for place, one_a_column in enumerate(thresholds.columns):
        np.greater_equal(scores, one_a_column, out=inside)
        counts.columns[place] = words.sum(axis=0).view(np.uint8).ravel()[:width]
    return counts


def _count_on_device(scores: Float[Tensor, "rows columns"], thresholds: Thresholds) -> Counts:
    counts = Counts.none(thresholds)
    rows, columns = (torch.from_numpy(np.ascontiguousarray(side)).to(scores.device) for side in thresholds)
    for place, one_a_row in enumerate(rows):
        counts.rows[place] = (scores >= one_a_row[:, None]).sum(dim=1).cpu().numpy()
    for place, one_a_column in enumerate(columns):
        counts.columns[place] = (scores >= one_a_column).sum(dim=0).cpu().numpy()
    return counts


def _leave_out(
    counts: Counts, scores: Float[Tensor, "rows columns"], links: Int64[np.ndarray, "links 2"], thresholds: Thresholds
) -> None:
    """Take the linked items out of the counts again, by the very scores that they were counted with."""
    rows, columns = links.T
    linked = scores[torch.from_numpy(rows.copy()), torch.from_numpy(columns.copy())].cpu().numpy()
    for counted, asked, reach in ((counts.rows, rows, thresholds.rows), (counts.columns, columns, thresholds.columns)):
        for place, thresholds_of in enumerate(reach):
            counted[place] -= np.bincount(asked, linked >= thresholds_of[asked], minlength=counted.shape[1]).astype(int)
