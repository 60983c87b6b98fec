"""Whether two encoders are for alignment, for prediction, for both or for neither: the phase diagram of their spectra.

Place in the flow: principal components of both sides, labels -> spectra of random halves (spectra.py) -> Diagnosis.

Kamai et al., "When to Align, When to Predict: A Phase Diagram for Multimodal Learning", 2026, arXiv:2606.11190: what
both sides share is partly signal and partly nuisance that only happens to come with it. Alignment (CCA, contrastive
losses) finds components by their correlation, and prediction of one side from the other by how much of it they explain;
each finds all of the signal first where the weakest signal component has a larger value than the strongest nuisance
one. Here as there, what is signal is told by labels; otherwise than there, components and regressions are fitted on one
half of the pairs, and all values are those of the other half, since spectra that were fitted on what they are measured
on never fall to zero.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float64, Int64

from fusemix.similarity.spectra import Spectrum, aligned, halves_of, moments_of, predicted

DRAWS = 50
"""Random halves."""
REGIMES = ("both", "align", "predict", "neither")
ALIGN, TO_RIGHT, TO_LEFT = "align", "predict_right", "predict_left"
WAYS = (ALIGN, TO_RIGHT, TO_LEFT)
"""Align both sides, predict the right from the left, predict the left from the right."""


class Way(NamedTuple):
    """What one way of learning would find, in each of the halves.

    Attributes:
        separation: smallest value of a signal component over the largest one of a nuisance component; infinite where no
            nuisance has any, and 0 where there is no signal. Above 1, all signal comes first.
        signal: number of signal components.
        recovered: how many of these have larger values than every nuisance component (proposition 3.2).
    """

    separation: Float64[np.ndarray, " halves"]
    signal: Int64[np.ndarray, " halves"]
    recovered: Int64[np.ndarray, " halves"]


class Diagnosis(NamedTuple):
    """The regime of two encoders.

    Attributes:
        ways: name in WAYS -> what it would find.
        shares: regime -> share of the halves that are in it.
        num_components: of each way.
    """

    ways: dict[str, Way]
    shares: dict[str, float]
    num_components: int

    @property
    def regime(self) -> str:
        """That of most halves."""
        return max(REGIMES, key=lambda regime: self.shares[regime])

    @property
    def direction(self) -> str:
        """The way of predicting that separates signal better, in the middle of the halves."""
        return max(WAYS[1:], key=lambda way: float(middle(self.ways[way].separation)))


def middle(values: Float64[np.ndarray, " halves"] | Int64[np.ndarray, " halves"]) -> float:
    """The median, one of the values: of infinite ones no mean can be taken."""
    return float(np.quantile(values, 0.5, method="lower"))


def diagnose(
    left: Float[np.ndarray, "items left"],
    right: Float[np.ndarray, "items right"],
    labels: Float[np.ndarray, "items labels"],
    generator: np.random.Generator,
    draws: int = DRAWS,
) -> Diagnosis:
    """The regime of linked items.

    Args:
        left, right: principal components of both sides, many times fewer than items.
        labels: what is signal: numbers, or 0 and 1 of categories and words.
        generator: source of the halves.
        draws: number of them.
    """
    halves = halves_of(len(left), draws, generator)
    moments = moments_of(left, right, labels, halves)
    spectra = {
        ALIGN: aligned(moments),
        TO_RIGHT: predicted(moments, moments.left, moments.right),
        TO_LEFT: predicted(moments, moments.right, moments.left),
    }
    ways = {name: _way(spectrum) for name, spectrum in spectra.items()}
    aligns = ways[ALIGN].separation > 1
    predicts = (ways[TO_RIGHT].separation > 1) | (ways[TO_LEFT].separation > 1)
    masks = (aligns & predicts, aligns & ~predicts, ~aligns & predicts, ~aligns & ~predicts)
    shares = {regime: float(mask.mean()) for regime, mask in zip(REGIMES, masks, strict=True)}
    return Diagnosis(ways, shares, spectra[ALIGN].values.shape[1])


def _way(spectrum: Spectrum) -> Way:
    each = zip(spectrum.values.numpy(), spectrum.explained.numpy(), strict=True)
    found = [_separated(*one, spectrum.floor) for one in each]
    separation, signal, recovered = zip(*found, strict=True)
    return Way(np.array(separation, dtype=np.float64), np.array(signal), np.array(recovered))


def _separated(
    values: Float64[np.ndarray, " components"], explained: Float64[np.ndarray, " components"], floor: float
) -> tuple[float, int, int]:
    is_signal = signal_among(explained, floor)
    signal, nuisance = values[is_signal], values[~is_signal].max(initial=0.0)
    if not len(signal):
        return 0.0, 0, 0
    separation = float(signal.min() / nuisance) if nuisance > 0 else np.inf
    return separation, len(signal), int((signal > nuisance).sum())


def signal_among(explained: Float64[np.ndarray, " components"], floor: float) -> Bool[np.ndarray, " components"]:
    """Which components are signal: those before the elbow of what components explain of the labels, in order.

    The elbow is where two straight lines fit the logarithms best, one up to it and one behind.

    Args:
        explained: R² of labels, summed over labels.
        floor: what counts as nothing; less is as much.

    Returns:
        False for all that explain no more than the floor; true for all where there are but two components above.
    """
    above = explained > floor
    if len(explained) < 3 or not above.any():
        return above
    order = np.argsort(-explained, kind="stable")
    heights = np.log(np.maximum(explained[order], floor))
    errors = _misfits(heights)[:-1] + _misfits(heights[::-1])[-2::-1]
    found = np.zeros(len(explained), dtype=bool)
    found[order[: int(np.argmin(errors)) + 1]] = True
    return found & above


def _misfits(heights: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, " n"]:
    """Sums of squares around the straight lines that fit the first one, the first two, … and all heights best."""
    place, count = np.arange(len(heights)), np.arange(1, len(heights) + 1)
    rest = heights - heights.mean()
    total, along = np.cumsum(rest), np.cumsum(place * rest)
    spread = np.where(count > 1, count * (count**2 - 1) / 12, 1)
    slope = along - total * (count - 1) / 2
    return np.maximum(np.cumsum(rest**2) - total**2 / count - slope**2 / spread, 0)
