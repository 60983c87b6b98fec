"""Every score of two sides once, tile by tile, for all who want something of it; in bounded memory.

Place in the flow: embeddings -> tiles of scores -> takers: counting.py, listing.py, masses.py.
The matrix of scores is never held: it is made tile by tile, and each tile serves both directions and every taker before
the next one takes its place. What evaluation costs beyond one matrix product is some work on data in the cache.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float32
from torch import Tensor

WORDS = 255
"""Truth values that a byte can count; see counting.py."""
THREAD_ROWS = 16
"""Rows that one thread looks at a time: as many as a core's cache holds."""
CPU_TILE = (64 * THREAD_ROWS, 8 * 16 * WORDS)
DEVICE_TILE = (8192, 8192)
"""Rows and columns of scores made in one product: 134 MB on a CPU, 268 MB on a GPU. Wide, since numpy compares long
rows several times as fast as short ones; no side above 65,536."""


Each = Callable[..., Iterator[Any]]
"""Does something with each of some things, and gives what comes of it in order: `map`, or that of a pool of threads."""


class Share(NamedTuple):
    """Which part of the work is this process's, and how the numbers of all processes are added up."""

    rank: int
    num_processes: int
    total: Callable[[np.ndarray], np.ndarray]


ALONE = Share(0, 1, lambda numbers: numbers)


class Tile(NamedTuple):
    """Scores, and which rows and columns of the whole they are."""

    scores: Float32[Tensor, "rows columns"]
    rows: slice
    columns: slice

    @property
    def sides(self) -> tuple[slice, slice]:
        """Rows and columns."""
        return self.rows, self.columns


class Block(NamedTuple):
    """Some rows of a tile on the CPU, for one thread."""

    scores: Float32[np.ndarray, "rows columns"]
    rows: slice
    columns: slice


class Room(threading.local):
    """What a thread works in, so that memory is not asked for again and again."""

    def __init__(self, width: int) -> None:
        """Args: width of the widest block."""
        self._truths = np.empty(THREAD_ROWS * _padded(width), dtype=bool)
        self._numbers = np.empty(THREAD_ROWS * width, dtype=np.float32)

    def truths(self, shape: tuple[int, int]) -> Bool[np.ndarray, "rows padded"]:
        """Of `shape`, and beyond its width false, up to a multiple of 8 * WORDS."""
        height, width = shape
        made = self._truths[: height * _padded(width)].reshape(height, -1)
        made[:, width:] = False
        return made

    def numbers(self, shape: tuple[int, int]) -> Float32[np.ndarray, "rows columns"]:
        """Of `shape`; what is in them is of no use."""
        return self._numbers[: shape[0] * shape[1]].reshape(shape)


def _padded(width: int) -> int:
    return -(-width // (8 * WORDS)) * 8 * WORDS


class Taker:
    """What wants something of every score: it sees a tile, its blocks (on a CPU, in threads), and the tile again."""

    def prepare(self, tile: Tile) -> None:
        """Look at the whole tile before its blocks."""

    def from_block(self, block: Block, room: Room) -> Any:
        """What is found in some rows; called by several threads at once, so it keeps nothing."""
        raise NotImplementedError

    def from_device(self, tile: Tile) -> Any:
        """What is found in a whole tile, on its device."""
        raise NotImplementedError

    def keep(self, part: Block | Tile, found: Any) -> None:
        """Take in what was found; called by one thread."""
        raise NotImplementedError

    def finish(self, tile: Tile, each: Each) -> None:
        """Look at the whole tile again, after its blocks; `each` has threads to spare."""


def walk(
    left: Float32[Tensor, "rows dim"],
    right: Float32[Tensor, "columns dim"],
    takers: Sequence[Taker],
    *,
    share: Share = ALONE,
    advance: Callable[[int], None] = lambda count: None,
) -> None:
    """Show `left @ right.T` to takers, from top to bottom and in each row of tiles from left to right.

    Args:
        left, right: on one device, best the smaller one left; products are in full float32, whatever torch is set to.
        takers: of which each sees every tile.
        share: where several processes divide the work: this one makes every n-th row of tiles.
        advance: told the number of rows that are done.
    """
    on_cpu = left.device.type == "cpu"
    height, width = CPU_TILE if on_cpu else DEVICE_TILE
    height = min(height, max(1, -(-len(left) // share.num_processes)))  # so that there is work for each
    room = Room(min(width, len(right)))
    buffer = torch.empty(min(height, len(left)) * min(width, len(right)), device=left.device)
    with full_float32(), _in_threads(torch.get_num_threads()) as each:
        for top in range(share.rank * height, len(left), share.num_processes * height):
            rows = slice(top, min(top + height, len(left)))
            for start in range(0, len(right), width):
                columns = slice(start, min(start + width, len(right)))
                shape = (rows.stop - rows.start, columns.stop - columns.start)
                scores = buffer[: shape[0] * shape[1]].view(shape)
                torch.mm(left[rows], right[columns].T, out=scores)
                _show(Tile(scores, rows, columns), takers, room, each)
            advance(rows.stop - rows.start)


@contextmanager
def _in_threads(number: int) -> Iterator[Each]:
    """With one, in the caller's own: small sets would take longer to hand over than to look at."""
    if number == 1:
        yield map
        return
    with ThreadPoolExecutor(number) as pool:
        yield pool.map


def _show(tile: Tile, takers: Sequence[Taker], room: Room, each: Each) -> None:
    def found_in(block: Block) -> list[Any]:
        return [taker.from_block(block, room) for taker in takers]

    for taker in takers:
        taker.prepare(tile)
    if tile.scores.device.type == "cpu":
        blocks = list(_blocks(tile))
        for block, found in zip(blocks, each(found_in, blocks), strict=True):
            for taker, taken in zip(takers, found, strict=True):
                taker.keep(block, taken)
    else:
        for taker in takers:
            taker.keep(tile, taker.from_device(tile))
    for taker in takers:
        taker.finish(tile, each)


def _blocks(tile: Tile) -> Iterator[Block]:
    scores = tile.scores.numpy()
    for at in range(0, len(scores), THREAD_ROWS):
        some = scores[at : at + THREAD_ROWS]
        yield Block(some, slice(tile.rows.start + at, tile.rows.start + at + len(some)), tile.columns)


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
