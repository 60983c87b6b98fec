"""Both directions of an evaluation, each with scores of its own: those of its gallery items less their constants.

Place in the flow: embeddings, constants -> Ways -> the same ranks, lists and figures as of plain cosines.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32
from torch import Tensor

from fusemix.retrieval.evaluation import Embeddings, Fold, Survey, listed, survey_folds
from fusemix.retrieval.hub_correction import beside
from fusemix.retrieval.listing import Top
from fusemix.retrieval.metrics import flat, with_sums

Constants = tuple[Float32[np.ndarray, " right"], Float32[np.ndarray, " left"]]
"""Of the gallery items of both directions: of right items, which the left asks for, and of left items."""


class Ways(NamedTuple):
    """What is compared in each direction; the same twice where scores are cosines.

    Attributes:
        from_left: embeddings of both sides, as the left asks.
        from_right: the same, as the right asks.
    """

    from_left: Embeddings
    from_right: Embeddings

    @property
    def is_plain(self) -> bool:
        """Whether scores are cosines."""
        return self.from_left is self.from_right

    def right_at(self, rows: Tensor) -> "Ways":
        """The same with some of the right items."""
        one, other = ((left, right[rows]) for left, right in self)
        return Ways(one, one if self.is_plain else other)

    def on_cpu(self) -> "Ways":
        """The same in the host's memory."""
        one, other = ((left.cpu(), right.cpu()) for left, right in self)
        return Ways(one, one if self.is_plain else other)


def ways_of(embeddings: Embeddings, taken: Constants | None) -> Ways:
    """Plain cosines, or with constants taken from the scores of gallery items.

    Args:
        embeddings: of both sides, unit length.
        taken: constants of gallery items; None leaves cosines.
    """
    if taken is None:
        return Ways(embeddings, embeddings)
    left, right = embeddings
    of_right, of_left = taken
    ones = np.ones(max(len(left), len(right)), dtype=np.float32)
    return Ways(
        (beside(left, ones[: len(left)]), beside(right, -of_right)),
        (beside(left, -of_left), beside(right, ones[: len(right)])),
    )


def survey_ways(
    ways: Ways, folds: Sequence[Fold], modalities: tuple[str, str], ks: Sequence[int], **how: Any
) -> Survey:
    """Measure each direction by its own scores; see `survey_folds`. Two passes where they are not the same."""
    one = survey_folds(ways.from_left, folds, modalities, ks, **how)
    if ways.is_plain:
        return one
    other = survey_folds(ways.from_right, folds, modalities, ks, **how)
    tops = (one.tops[0], other.tops[1]) if one.tops and other.tops else None
    return one._replace(directions=(one.directions[0], other.directions[1]), tops=tops)


def listed_ways(survey: Survey, ways: Ways, k: int, *, use_gpu: bool) -> tuple[Top, Top]:
    """What stands at the top for each query of both directions, by its direction's scores; see `listed`."""
    one = listed(survey, ways.from_left, k, use_gpu=use_gpu)
    return one if ways.is_plain else (one[0], listed(survey, ways.from_right, k, use_gpu=use_gpu)[1])


def figures_of_ways(
    ways: Ways, folds: Sequence[Fold], modalities: tuple[str, str], ks: Sequence[int]
) -> dict[str, float]:
    """Figures of both directions and nothing else, for what stands beside a model."""
    return with_sums(flat(survey_ways(ways, folds, modalities, ks).directions))
