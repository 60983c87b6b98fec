"""The data on the arrows between the stages, and what an encoder, a loss and an adapter must offer.

Place in the flow: every stage package imports from here, and none imports another.
Not here: anything that reads, writes or computes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Int64
from torch import Tensor

from fusemix.contents import Content as Content
from fusemix.contents import Raw as Raw
from fusemix.contents import Waveform as Waveform

Prepared = Any
"""A content made ready for one encoder: token ids, pixel arrays, windows of samples."""

Batch = Any
"""Prepared contents put together for one pass: tensors on the CPU, in dicts, tuples or lists, so that they
reach the encoder's process through shared memory and can be pinned."""

OWN = "own"
"""Column of an item table: what the caption file says in columns of its own, as the JSON of an object."""


class Rejected(NamedTuple):
    """An item that could not be used, and why.

    Stages: `dataset` (missing or empty at the source), `read`, `decode`, `prepare`, `encode`, `import`.
    """

    id: str
    stage: str
    reason: str


@dataclass(frozen=True)
class Items:
    """One side of a pair set: unique items of one modality.

    Attributes:
        modality: `image`, `text`, `audio` or a user's own.
        table: row order is the truth. Column `id` (unique strings) first, then what identifies the
            content or shows it to a person: `caption`, `path`, `num_bytes`, …; `mtime_ns` where items are files.
        read: row -> Raw. Must be picklable, since worker processes call it.
    """

    modality: str
    table: pa.Table
    read: Callable[[int], Raw]

    def __len__(self) -> int:
        return self.table.num_rows

    def take(self, rows: Int64[np.ndarray, " rows"]) -> "Items":
        """Some of them, in the order of `rows`."""
        return Items(self.modality, _rows_of(self.table, rows), _Taken(self.read, rows))

    def ids_at(self, rows: Sequence[int]) -> list[str]:
        """Ids of some rows that lie near one another."""
        return values_near(self.table["id"], rows)


def values_near(column: pa.ChunkedArray, rows: Sequence[int] | Int64[np.ndarray, " rows"]) -> list[Any]:
    """Values in some rows that lie near one another.

    Arrow joins all chunks to take from them, which for a window of pictures costs half a second among five million.
    """
    if len(rows) == 0:
        return []
    low, high = int(min(rows)), int(max(rows))
    return column.slice(low, high - low + 1).take(pa.array(np.asarray(rows) - low)).to_pylist()


def _rows_of(table: pa.Table, rows: Int64[np.ndarray, " rows"]) -> pa.Table:
    """Some rows of a table, taken batch by batch: columns that are longer than 2 GB cannot be joined."""
    order = np.argsort(rows, kind="stable")
    found, at, batches = rows[order], 0, []
    for batch in table.to_batches():
        here = found[np.searchsorted(found, at) : np.searchsorted(found, at + len(batch))]
        batches += [batch.take(pa.array(here - at))] if len(here) else []
        at += len(batch)
    taken = pa.Table.from_batches(batches, table.schema)
    if (order[1:] > order[:-1]).all():
        return taken
    back = np.empty_like(order)
    back[order] = np.arange(len(order))
    return taken.unify_dictionaries().take(pa.array(back))


@dataclass(frozen=True)
class _Taken:
    """Reads some of the items; a class, since worker processes may have to pickle it."""

    read: Callable[[int], Raw]
    rows: Int64[np.ndarray, " rows"]

    def __call__(self, row: int) -> Raw:
        return self.read(int(self.rows[row]))


@dataclass(frozen=True)
class PairSet:
    """Two sides of unique items and their links, for one split of one data set.

    Attributes:
        dataset: short name, for messages and reports.
        revision: which copy of the data this is.
        split: `train`, `validation`, `test` or the publisher's own word.
        left, right: the sides, in the data set's order.
        links: (left row, right row) of what belongs together; training pairs and relevance alike.
        excluded: what the source names but cannot give: missing files, empty captions.
        published: numbers of media and of captions that the publisher's split has, where links have rotted
            since and every copy holds fewer; None where copies are whole or nobody published it.
        times: how often each link was written, where one was more than once: benchmarks count every caption, and
            training takes a pair once. None: all of them once.
    """

    dataset: str
    revision: str
    split: str
    left: Items
    right: Items
    links: Int64[np.ndarray, "links 2"]
    excluded: tuple[Rejected, ...] = ()
    published: tuple[int, int] | None = None
    times: Int64[np.ndarray, " links"] | None = None

    @property
    def sides(self) -> tuple[Items, Items]:
        """Left, then right."""
        return self.left, self.right


class LatentBatch(NamedTuple):
    """Pairs in one step, not normalised: row i of the left belongs to row i of the right.

    Where items have several positives, the right side holds as many blocks as long as the left, and row i of each block
    belongs to row i of the left.
    """

    left: Float[Tensor, "batch left_dim"]
    right: Float[Tensor, "columns right_dim"]


class TrainBatch(NamedTuple):
    """Pairs of one step, and which of the run's sets they are from."""

    set_number: int
    pairs: LatentBatch


@runtime_checkable
class Encoder(Protocol):
    """A frozen, pretrained model of one modality.

    A latent must not depend on the other items of its batch.

    One of pictures may have `least_side`: JPEGs are then decoded for it at 1/2, 1/4 or 1/8 where no side gets shorter
    than so many pixels (encoders/drafts.py). One whose `encode` takes tensors also where they are on its device already
    may say `copied_ahead = True`: a GPU then fetches a batch while it computes another (encoders/copies.py).

    Attributes:
        modality: what it encodes.
        dim: width of its latents.
        sample_rate: hertz that it wants sounds in; None for other modalities, or to take any.
        fingerprint: plain data that names everything which changes the numbers: model, revision,
            hash of the weights, pooling, layer, preprocessing, prefix, dtype, package versions.
    """

    modality: str
    dim: int
    sample_rate: int | None
    fingerprint: dict[str, Any]

    def to(self, device: str) -> "Encoder":
        """Move to a device and return itself."""
        ...

    def prepare(self, contents: Sequence[Content]) -> list[Prepared]:
        """What can be done on the CPU, ahead and in a worker process; one result per content."""
        ...

    def length(self, prepared: Prepared) -> int:
        """What batches are ordered by, so that little is padded; a constant where nothing is."""
        ...

    def collate(self, prepared: Sequence[Prepared]) -> Batch:
        """Put prepared contents together for one pass; also on the CPU, in a worker process."""
        ...

    def encode(self, batch: Batch) -> Float[Tensor, "batch dim"]:
        """Latents of a collated batch, on the encoder's device; not normalised, in float32, without gradient."""
        ...


@runtime_checkable
class PairLoss(Protocol):
    """A contrastive loss over one batch of pairs."""

    def __call__(
        self,
        left: Float[Tensor, "rows dim"],
        right: Float[Tensor, "columns dim"],
        logit_scale: Float[Tensor, ""],
    ) -> Float[Tensor, ""]:
        """This process's part of the loss; where several share a batch, the mean over them is the loss of the batch.

        Args:
            left: unit length; own rows of the batch.
            right: unit length; a block of own rows, or several where an item has several positives. Row i of the left
                and of each block belong together.
            logit_scale: 1 / temperature, already exponentiated.
        """
        ...


Scorer = Callable[[Float[Tensor, "left dim"], Float[Tensor, "right dim"]], dict[str, float]]
"""Embeddings of the items of a validation set -> named figures, higher is better."""
