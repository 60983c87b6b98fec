"""Which items a shard of a store holds, in order.

Place in the flow: ids and times of all items -> those of one shard -> writer.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
from jaxtyping import Int64, UInt64

from fusemix.interfaces import Rejected


@dataclass(frozen=True)
class ShardRows:
    """The items of a store, cut into shards.

    Attributes:
        ids: of all, in order of rows.
        times: when the file of each was last changed, in nanoseconds; None where items are no files.
        shard_size: rows of a shard; the last one may have fewer.
    """

    ids: pa.ChunkedArray
    times: pa.ChunkedArray | None
    shard_size: int

    @cached_property
    def spans(self) -> list[range]:
        """Rows of each shard."""
        count, size = len(self.ids), self.shard_size
        return [range(at, min(at + size, count)) for at in range(0, count, size)]

    def ids_in(self, index: int) -> list[str]:
        """Of one shard."""
        span = self.spans[index]
        return self.ids.slice(span.start, len(span)).to_pylist()

    def times_in(self, index: int) -> UInt64[np.ndarray, " rows"]:
        """Of one shard; 0 where there is none."""
        span = self.spans[index]
        if self.times is None:
            return np.zeros(len(span), dtype=np.uint64)
        return self.times.slice(span.start, len(span)).to_numpy().astype(np.uint64)

    def places_in(self, index: int, rejected: Sequence[Rejected]) -> Int64[np.ndarray, " some"]:
        """Where in a shard some of its items stand."""
        place_of = {item: place for place, item in enumerate(self.ids_in(index))}
        return np.array([place_of[item.id] for item in rejected], dtype=np.int64)
