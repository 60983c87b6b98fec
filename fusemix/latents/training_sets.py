"""One set to train on, and the items that are held out to choose the best epoch on.

Place in the flow: LatentSet(s) -> TrainingSet -> loader.py, which draws from one or several of them.
"""

import re
from collections.abc import Iterator
from concurrent.futures import Executor
from itertools import count

import numpy as np
import torch
from jaxtyping import Int64

from fusemix.errors import ConfigError
from fusemix.latents.batches import Links, split_links
from fusemix.latents.galleries import MOST_CHOSEN_AMONG, Gallery, gallery_of, sampled
from fusemix.latents.residence import Advance, Residence, Where, reside
from fusemix.latents.sets import LatentSet
from fusemix.latents.shuttle import OnItsWay

WORD, WORD_OF_ANY_CASE = re.compile(r"[A-Z]?[a-z]+|[A-Z]+"), re.compile(r"[A-Za-z]+")
"""Of a split's name: `testSet` is two words, or one."""
TEST = re.compile(r"(mini)?test(s|ing|[a-d]|dev|std|mini|set|split|core)?")


class TrainingSet:
    """Training pairs of one latent set.

    Args:
        name: of the set in this run; empty for the first one.
        train: set to train on.
        validation: set to choose on; None holds out a share of `train`.
        holdout: that share, in (0, 1); 0 with neither leaves nothing to choose on.
        weight: passes over the set in an epoch.
        links_per_item: see `batches.Links`.
        seed: of order and holdout.

    Attributes:
        gallery: items to choose on, or None; of many that are held out a sample, the same for one seed.
        held_out: how many items of either side were held out.
        validation: the set that these are of.
        is_validated_apart: whether that is a set of its own, and no part of `train`.
        pairs_per_step: groups in a batch, before mixing; see `deal`.
        num_batches: in an epoch.

    Raises:
        ConfigError: items have not so many links, or the validation set is a test split.
    """

    def __init__(
        self,
        name: str,
        train: LatentSet,
        *,
        validation: LatentSet | None,
        holdout: float,
        weight: float,
        links_per_item: int | None,
        seed: int,
    ) -> None:
        self.name, self.train, self.validation = name, train, validation or train
        self.is_validated_apart = validation is not None
        self._weight, self._seed = weight, seed
        links, held_out = _divided(train, validation, holdout, seed)
        self.gallery = sampled(held_out, MOST_CHOSEN_AMONG, seed) if held_out else None
        self.held_out = [len(rows) for rows in held_out.rows] if held_out else [0, 0]
        self.links = Links(links, links_per_item)
        _require_links_of_each(self)
        self.pairs_per_step, self.num_batches = 1, len(self.links)
        self._sides: tuple[Residence, Residence] | None = None

    @property
    def modalities(self) -> tuple[str, str]:
        """Of the left and of the right."""
        return self.train.left.modality, self.train.right.modality

    @property
    def is_sampled(self) -> bool:
        """Whether the best epoch is chosen on a sample of what is held out."""
        return self.gallery is not None and [len(rows) for rows in self.gallery.rows] != self.held_out

    @property
    def num_bytes(self) -> int:
        """Of all its latents."""
        stores = [store.manifest for side in self.train.sides for store in side.stores]
        return sum(manifest.num_rows * manifest.dim * np.dtype(manifest.dtype).itemsize for manifest in stores)

    def most_pairs(self) -> int:
        """About the most groups that a batch can have, since no item may occur twice in it."""
        most = self.links.largest_batch
        while most > 1 and not _fills_a_batch(self, most):  # items that share links leave fewer than the smaller side
            most = most * 9 // 10
        return most

    def deal(self, pairs_per_step: int) -> None:
        """Fix the size of batches.

        Args:
            pairs_per_step: groups in a batch, before mixing.

        Raises:
            ConfigError: a batch would be larger than the distinct items there are.
        """
        if not _fills_a_batch(self, pairs_per_step):
            raise _too_large(self, pairs_per_step)
        self.pairs_per_step = pairs_per_step
        self.num_batches = max(1, round(self._weight * (len(self.links) // pairs_per_step)))

    def reside(self, where: Where, device: torch.device, advance: Advance = lambda count: None) -> None:
        """Bring its latents to where they are going to live; `advance` is told of rows as they are read."""
        left, right = (reside(side, where, device, advance) for side in self.train.sides)
        self._sides = left, right

    def batches(self, epoch: int, maker: Executor | None = None) -> Iterator[Int64[np.ndarray, "batch items"]]:
        """Rows of the batches of one epoch, whose order is drawn at once; the same for the same seed and epoch.

        There are `num_batches` always: where items that occur often keep a pass from giving as many, another is begun.

        Args:
            epoch: counted from 0.
            maker: what draws the order of a further pass, while the one before is used; None draws it when it is due.
        """
        return self._in_passes(epoch, self._pass(epoch, 0), maker)

    def _in_passes(
        self, epoch: int, drawn: Iterator[Int64[np.ndarray, "batch items"]], maker: Executor | None
    ) -> Iterator[Int64[np.ndarray, "batch items"]]:
        due = self.num_batches
        whole = len(self.links) // self.pairs_per_step
        for number in count(1):
            coming = None
            for place, rows in enumerate(drawn):
                if maker and coming is None and 2 * place >= whole and self._may_end_early(due, whole - place):
                    coming = maker.submit(self._pass, epoch, number)
                yield rows
                due -= 1
                if due == 0:
                    return
            drawn = coming.result() if coming else self._pass(epoch, number)

    def _may_end_early(self, due: int, left: int) -> bool:
        """Whether a pass may give fewer batches than are due, where its links would fill some that are left."""
        return due > left or not self.links.is_one_to_one

    def _pass(self, epoch: int, number: int) -> Iterator[Int64[np.ndarray, "batch items"]]:
        generator = np.random.default_rng([self._seed, epoch, number])
        return self.links.batches(self.pairs_per_step, generator)

    def latents(self, rows: Int64[np.ndarray, "batch items"]) -> tuple[OnItsWay, OnItsWay]:
        """Latents of a batch, going to the device: the left ones, and block after block those of the right."""
        assert self._sides is not None, "reside() comes first"
        return self._sides[0].take(rows[:, 0]), self._sides[1].take(rows[:, 1:].T.ravel())


def _divided(
    train: LatentSet, validation: LatentSet | None, holdout: float, seed: int
) -> tuple[Int64[np.ndarray, "train 2"], Gallery | None]:
    if validation is not None:
        return train.links, gallery_of(_not_test(validation))
    if holdout == 0:
        return train.links, None
    links, held_out = split_links(train.links, holdout, seed)
    if len(held_out) == 0:
        raise ConfigError(
            f"holdout={holdout} of the {len(train.links):,} links of {train.name} holds out none, since items that "
            "share a link stay together. Give a larger holdout, or a validation set."
        )
    return links, gallery_of(train, held_out)


def is_test(split: str) -> bool:
    """Whether a split calls itself a test one, however that is spelled: `Test`, `test2017`, `test-dev`, `minitest`.

    >>> [name for name in ("TEST", "testing_1k", "coco.testA", "contest", "validation") if is_test(name)]
    ['TEST', 'testing_1k', 'coco.testA']
    """
    words = [*WORD.findall(split), *WORD_OF_ANY_CASE.findall(split)]
    return any(TEST.fullmatch(word.casefold()) for word in words)


def _not_test(validation: LatentSet) -> LatentSet:
    if is_test(validation.description["split"]):
        raise ConfigError(
            f"validation is {validation.folder}, a test split. An epoch that is chosen on test makes the test figure "
            "meaningless. Give a validation split, or hold out a part of train with holdout=0.1."
        )
    return validation


def _require_links_of_each(training_set: TrainingSet) -> None:
    if training_set.links.largest_batch == 0:
        raise ConfigError(
            f"links_per_item={training_set.links.per_item or 1:,} is too many: each {training_set.modalities[0]} "
            f"item of {training_set.train.name} has fewer {training_set.modalities[1]} items. Give a smaller number, "
            "or leave it out."
        )


def _too_large(training_set: TrainingSet, pairs_per_step: int) -> ConfigError:
    most = training_set.most_pairs()
    setting = f"also.{training_set.name}.batch_size" if training_set.name else "optim.batch_size"
    return ConfigError(
        f"a step needs {pairs_per_step:,} pairs (twice {setting} where pairs are mixed), and no item "
        f"may occur twice, but the links of {training_set.train.name} give only about {most:,} such pairs at a time, "
        f"so no batch could be filled. Set {setting} to {most // 2:,} or less ({most:,} with mixup.name=none), "
        "or to auto."
    )


def _fills_a_batch(training_set: TrainingSet, size: int) -> bool:
    return next(training_set.links.batches(size, np.random.default_rng(0)), None) is not None
