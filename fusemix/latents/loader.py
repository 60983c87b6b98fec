"""Batches of latents for Lightning, gathered whole; never a Python loop over samples.

Place in the flow: LatentSet -> LatentData (a LightningDataModule) -> LatentBatch.
Not here: which pairs make a batch (batches.py), mixing (fusion/mixup.py).
"""

from collections.abc import Iterator
from typing import NamedTuple

import lightning as L
import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from fusemix.errors import ConfigError
from fusemix.interfaces import LatentBatch
from fusemix.latents.batches import draw_batches, largest_batch, split_links
from fusemix.latents.sets import LatentSet, Side

ROWS_AT_ONCE = 8192


class SideRows(NamedTuple):
    """Latents of some consecutive chosen rows of one side of the validation set."""

    modality: str
    latents: Float[Tensor, "rows dim"]


class Gallery(NamedTuple):
    """The items of a validation set and their links, renumbered to the rows that are used.

    Attributes:
        left_rows, right_rows: rows of the latent set that take part.
        links: pairs of positions in these.
    """

    left_rows: Int64[np.ndarray, " left"]
    right_rows: Int64[np.ndarray, " right"]
    links: Int64[np.ndarray, "links 2"]

    @property
    def rows(self) -> tuple[Int64[np.ndarray, " left"], Int64[np.ndarray, " right"]]:
        """Of the left, then of the right."""
        return self.left_rows, self.right_rows


def gallery_of(latent_set: LatentSet, links: Int64[np.ndarray, "links 2"] | None = None) -> Gallery:
    """All items with latents, or, given links, only the items that these name."""
    if links is None:
        rows = [np.flatnonzero(side.valid) for side in latent_set.sides]
        links = latent_set.links
    else:
        rows = [np.unique(links[:, side]) for side in (0, 1)]
    renumbered = np.column_stack([np.searchsorted(rows[side], links[:, side]) for side in (0, 1)])
    return Gallery(rows[0], rows[1], renumbered)


class _Pairs(Dataset):
    """Indexed by the links of a whole batch."""

    def __init__(self, latent_set: LatentSet) -> None:
        self._set = latent_set

    def __getitem__(self, links: Int64[np.ndarray, "batch 2"]) -> LatentBatch:
        left, right = (side.take(links[:, i]) for i, side in enumerate(self._set.sides))
        return LatentBatch(torch.from_numpy(left), torch.from_numpy(right))


class _Batches(Sampler):
    """Links of each batch of one epoch; the same for the same seed and epoch."""

    def __init__(self, links: Int64[np.ndarray, "links 2"], batch_size: int, seed: int, epoch: int) -> None:
        self._links, self._batch_size, self._seed = links, batch_size, [seed, epoch]

    def __iter__(self) -> Iterator[Int64[np.ndarray, "batch 2"]]:
        return draw_batches(self._links, self._batch_size, np.random.default_rng(self._seed))


class _Rows(Dataset):
    """Element i is a run of rows of one side."""

    def __init__(self, sides: tuple[tuple[Side, Int64[np.ndarray, " _"]], ...]) -> None:
        self._parts = [
            (side, rows[at : at + ROWS_AT_ONCE]) for side, rows in sides for at in range(0, len(rows), ROWS_AT_ONCE)
        ]

    def __len__(self) -> int:
        return len(self._parts)

    def __getitem__(self, index: int) -> SideRows:
        side, rows = self._parts[index]
        return SideRows(side.modality, torch.from_numpy(side.take(rows)))


class LatentData(L.LightningDataModule):
    """Training batches and validation rows out of latent sets.

    Args:
        train: set to train on.
        validation: set to choose on; None holds out a share of `train`.
        holdout: that share, in (0, 1).
        pairs_per_step: pairs in a batch, before mixing.
        seed: of order and holdout.

    Raises:
        ConfigError: a batch would be larger than the distinct items there are, or the validation set is a test split.
    """

    def __init__(
        self, train: LatentSet, *, validation: LatentSet | None, holdout: float, pairs_per_step: int, seed: int
    ) -> None:
        super().__init__()
        self._train, self._validation, self._seed = train, validation or train, seed
        if validation is None:
            self.links, held_out = split_links(train.links, holdout, seed)
            self.gallery = gallery_of(train, _not_empty(held_out, holdout, train))
        else:
            self.links, self.gallery = train.links, gallery_of(_not_test(validation))
        if next(draw_batches(self.links, pairs_per_step, np.random.default_rng([seed, 0])), None) is None:
            most = largest_batch(self.links)
            raise ConfigError(
                f"a step needs {pairs_per_step:,} pairs (twice optim.batch_size with mixup), and no item may occur "
                f"twice, but {train.name} has only {most:,} distinct items on its smaller side, so no batch could "
                f"be filled. Set optim.batch_size to {most // 2:,} or less ({most:,} with mixup_alpha=0)."
            )
        self.pairs_per_step = pairs_per_step

    def train_dataloader(self) -> DataLoader:
        """Batches of the epoch that the trainer is in.

        Needs `reload_dataloaders_every_n_epochs=1`: where a run goes on, Lightning 2.6 fetches a batch
        before it tells a sampler its epoch.
        """
        epoch = self.trainer.current_epoch if self.trainer else 0
        sampler = _Batches(self.links, self.pairs_per_step, self._seed, epoch)
        # A generator of its own: a DataLoader without one draws from the global state, which is dropout's.
        return DataLoader(_Pairs(self._train), sampler=sampler, batch_size=None, generator=torch.Generator())

    def val_dataloader(self) -> DataLoader:
        """All items of the left, then all of the right, in order."""
        sides = zip(self._validation.sides, self.gallery.rows, strict=True)
        return DataLoader(_Rows(tuple(sides)), batch_size=None, generator=torch.Generator())


def _not_test(validation: LatentSet) -> LatentSet:
    if validation.description["split"] == "test":
        raise ConfigError(
            f"validation is {validation.folder}, a test split. An epoch that is chosen on test makes the test figure "
            "meaningless. Give a validation split, or hold out a part of train with holdout=0.1."
        )
    return validation


def _not_empty(links: np.ndarray, holdout: float, train: LatentSet) -> np.ndarray:
    if len(links) == 0:
        raise ConfigError(
            f"holdout={holdout} of the {len(train.links):,} links of {train.name} holds out none, since items that "
            "share a link stay together. Give a larger holdout, or a validation set."
        )
    return links
