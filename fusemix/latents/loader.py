"""Batches of latents for Lightning, gathered whole; never a Python loop over samples.

Place in the flow: TrainingSet(s) -> LatentData (a LightningDataModule) -> TrainBatch, ValidationRows.
Not here: which pairs make a batch (batches.py), where latents live (residence.py), mixing (fusion/mixup/).
"""

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import nullcontext
from itertools import chain
from typing import NamedTuple

import lightning as L
import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset

from fusemix.interfaces import LatentBatch, TrainBatch
from fusemix.latents.ahead import ahead
from fusemix.latents.galleries import SideItems
from fusemix.latents.residence import Placement, Step, StepBytes, Where, choose
from fusemix.latents.shuttle import OnItsWay
from fusemix.latents.training_sets import TrainingSet
from fusemix.progress import console, counting

ROWS_AT_ONCE = 8192
Drawn = tuple[int, Int64[np.ndarray, "batch items"]]
"""Number of the set, and rows, of a whole batch."""


class _Drawn(NamedTuple):
    """Whole batches of an epoch, in order, and the hash of the first one."""

    sha256: str
    rows: Iterator[Drawn]


class ValidationRows(NamedTuple):
    """Latents of some consecutive rows of one side of a training set's validation set."""

    set_number: int
    modality: str
    latents: Float[Tensor, "rows dim"]


class Underway(NamedTuple):
    """A batch on its way to the device."""

    set_number: int
    left: OnItsWay
    right: OnItsWay


def arrived(batch: Underway) -> TrainBatch:
    """A batch that what the calling thread computes from now on may use."""
    for side in (batch.left, batch.right):
        side.arrive()
    return TrainBatch(batch.set_number, LatentBatch(batch.left.values, batch.right.values))


def own_share(
    rows: Int64[np.ndarray, "batch items"], *, parts: int, rank: int, num_processes: int
) -> Int64[np.ndarray, "share items"]:
    """The rows of a batch that one of several processes works on.

    Args:
        rows: of the whole batch, whose length `parts` times `num_processes` divides.
        parts: stretches of the batch whose row i belong together: two where halves are mixed, else one.
        rank: of this process.
        num_processes: that share the batch.

    Returns:
        The same stretch of every part, so that the shares of all processes, mixed, make up the mixed batch.
    """
    return rows.reshape(parts, num_processes, -1, rows.shape[1])[:, rank].reshape(-1, rows.shape[1])


class LatentData(L.LightningDataModule):
    """Training batches and validation rows out of latent sets.

    Args:
        training_sets: sets to train on.
        parts: see `own_share`.
        latents_on: where latents live while adapters are trained.
        seed: of the order in which they take turns.

    Attributes:
        unpaired: modality -> items without partners that the run learns from, too.
        placement: where they live, and why, once it is known.
        step: what is trained with them, once there is that.
        first_batch: hash of the rows of the first whole batch of the epoch; the same in all processes.
    """

    def __init__(self, training_sets: Sequence[TrainingSet], *, parts: int, latents_on: Where, seed: int) -> None:
        super().__init__()
        self.training_sets = list(training_sets)
        self._parts, self._seed = parts, seed
        self._latents_on: Where = latents_on
        self.unpaired: dict[str, SideItems] = {}
        self.placement: Placement | None = None
        self.step: Step | None = None
        self.first_batch = ""
        self._begun: tuple[int, Iterator[Drawn]] | None = None
        self._coming: dict[int, Future[_Drawn]] = {}
        self._thread: ThreadPoolExecutor | None = None

    @property
    def num_batches(self) -> int:
        """Steps in an epoch."""
        return sum(one.num_batches for one in self.training_sets)

    def setup(self, stage: str) -> None:
        """Bring the latents to where they are going to live."""
        if stage != "fit" or self.placement or self.trainer is None:
            return
        trainer, device = self.trainer, self.trainer.strategy.root_device
        copies = trainer.num_devices if device.type == "cpu" else 1
        placement = self.place(device, str(trainer.precision), trainer.world_size, copies)
        progress = nullcontext(lambda count: None)
        if trainer.is_global_zero:
            for line in placement.told:
                console.print(line)
            num_rows = sum(len(side) for one in self.training_sets for side in one.train.sides)
            progress = counting("reading latents", num_rows)
        with progress as advance:
            for training_set in self.training_sets:
                training_set.reside(placement.where, device, advance)

    def place(self, device: torch.device, precision: str, num_processes: int, copies: int = 1) -> Placement:
        """Choose where latents are going to live, and have the step take the room that they leave.

        Args:
            device: that trains.
            precision: that it trains in, as Lightning names it.
            num_processes: that share each batch.
            copies: of latents and step in the device's memory: a process each, on CPUs.
        """
        step = self.step.num_bytes(device, precision, num_processes) if self.step else StepBytes(0, 0)
        num_bytes = sum(one.num_bytes for one in self.training_sets) * copies
        all_steps = StepBytes(step.held * copies, step.recomputed * copies)
        self.placement = choose(self._latents_on, num_bytes, all_steps, device)
        if self.step:
            self.step.recompute(self.placement.recompute)
        return self.placement

    def train_dataloader(self) -> DataLoader:
        """Batches of the epoch that the trainer is in.

        Needs `reload_dataloaders_every_n_epochs=1`: where a run goes on, Lightning 2.6 fetches a batch before it tells
        a sampler its epoch.
        """
        trainer = self.trainer
        epoch = trainer.current_epoch if trainer else 0
        rank, num_processes = (trainer.global_rank, trainer.world_size) if trainer else (0, 1)
        drawn = self._coming.pop(epoch).result() if epoch in self._coming else self._drawn(epoch)
        self.first_batch, self._begun = drawn.sha256, (epoch, drawn.rows)
        following = epoch + 1
        if trainer and following < (trainer.max_epochs or 0) and following not in self._coming:
            self.draw_ahead(following)
        return _unbatched(_Epoch(self, epoch, rank, num_processes))

    def draw_ahead(self, epoch: int) -> None:
        """Begin to draw the order of an epoch in another thread, so that no device waits for it."""
        self._coming = {epoch: self._maker().submit(self._drawn, epoch)}

    def _drawn(self, epoch: int) -> _Drawn:
        rows = self._rows(epoch)
        index, first = next(rows)
        sha256 = hashlib.sha256(repr(index).encode() + np.ascontiguousarray(first).data).hexdigest()
        return _Drawn(sha256, chain([(index, first)], rows))

    def _maker(self) -> Executor:
        """The thread that draws orders, one after the other."""
        self._thread = self._thread or ThreadPoolExecutor(max_workers=1, thread_name_prefix="fusemix-order")
        return self._thread

    def teardown(self, stage: str) -> None:
        """End the thread that draws orders; it may be at one that nobody needs, which takes a second or two."""
        if self._thread is not None:
            self._thread.shutdown(cancel_futures=True)
        self._thread, self._begun, self._coming = None, None, {}

    def on_exception(self, exception: BaseException) -> None:
        """The same, where a run breaks off."""
        self.teardown("fit")

    def val_dataloader(self) -> DataLoader:
        """All items of the left, then all of the right, in order, of one set after the other."""
        return _unbatched(_Validation(self.training_sets))

    def batches(self, epoch: int, *, rank: int = 0, num_processes: int = 1) -> Iterator[TrainBatch]:
        """This process's share of each batch of an epoch, in the order of the thread that asks."""
        return map(arrived, self.underway(epoch, rank=rank, num_processes=num_processes))

    def underway(self, epoch: int, *, rank: int, num_processes: int) -> Iterator[Underway]:
        """The same, gathered and going to the device; another thread may do so ahead."""
        begun, self._begun = self._begun, None
        for index, rows in begun[1] if begun and begun[0] == epoch else self._rows(epoch):
            own = own_share(rows, parts=self._parts, rank=rank, num_processes=num_processes)
            yield Underway(index, *self.training_sets[index].latents(own))

    def _rows(self, epoch: int) -> Iterator[Drawn]:
        turns = np.repeat(np.arange(len(self.training_sets)), [one.num_batches for one in self.training_sets])
        drawn = [one.batches(epoch, self._maker()) for one in self.training_sets]  # draws their orders, here and now
        indices = np.random.default_rng([self._seed, epoch]).permutation(turns).tolist()
        return ((index, next(drawn[index])) for index in indices)


class _Epoch(IterableDataset):
    def __init__(self, data: LatentData, epoch: int, rank: int, num_processes: int) -> None:
        self._data, self._epoch, self._rank, self._num_processes = data, epoch, rank, num_processes

    def __len__(self) -> int:
        return self._data.num_batches

    def __iter__(self) -> Iterator[TrainBatch]:
        return map(arrived, ahead(self._data.underway(self._epoch, rank=self._rank, num_processes=self._num_processes)))


class _Validation(IterableDataset):
    def __init__(self, training_sets: Sequence[TrainingSet]) -> None:
        self._parts = [
            (index, items, at)
            for index, training_set in enumerate(training_sets)
            if training_set.gallery
            for items in training_set.gallery.of(training_set.validation)
            for at in range(0, len(items), ROWS_AT_ONCE)
        ]

    def __len__(self) -> int:
        return len(self._parts)

    def __iter__(self) -> Iterator[ValidationRows]:
        return ahead(
            ValidationRows(index, items.modality, torch.from_numpy(items.latents(at, at + ROWS_AT_ONCE)))
            for index, items, at in self._parts
        )


def _unbatched(dataset: Dataset) -> DataLoader:
    # A generator of its own: a DataLoader without one draws from the global state, which is dropout's.
    return DataLoader(dataset, batch_size=None, generator=torch.Generator())
