"""The phase diagram: pairs of the spiked model, whose regime is known in closed form, are told as what they are."""

import numpy as np
import pytest
from sklearn.cross_decomposition import CCA
from sklearn.linear_model import LinearRegression

from fusemix.similarity.phases import ALIGN, TO_LEFT, TO_RIGHT, diagnose, signal_among
from fusemix.similarity.spectra import aligned, halves_of, moments_of, predicted

SIGNAL, NUISANCE = 4, 6


def spiked(kappa, noise, nuisance, eta, *, items=4000, seed=0, both=None):
    """Signal in the first coordinates, with noise of its own on each side, and nuisance that is correlated across.

    Args:
        kappa: strength of the signal.
        noise: variances beside the signal, of left and right.
        nuisance: variances of the nuisance, of left and right.
        eta: its covariance across sides.
    """
    generator = np.random.default_rng(seed)
    signal = generator.standard_normal((items, SIGNAL))
    apart = np.array([[nuisance[0], eta], [eta, nuisance[1]]])
    pairs = generator.multivariate_normal([0, 0], apart, size=(items, NUISANCE))
    sides = []
    for place in (0, 1):
        own = generator.standard_normal((items, SIGNAL)) * noise[place] ** 0.5
        side = np.concatenate([kappa * signal + own, pairs[:, :, place]], axis=1)
        sides.append(side @ np.linalg.qr(generator.standard_normal((side.shape[1],) * 2))[0])
    labels = signal @ generator.standard_normal((SIGNAL, 8)) + generator.standard_normal((items, 8))
    return sides[0], sides[1], labels


def separations(kappa, noise, nuisance, eta):
    """Propositions 3.1 and 3.3: of alignment, prediction of the right, and of the left."""
    left, right = kappa**2 + np.array(noise)
    rho, nu = kappa**2 / np.sqrt(left * right), eta / np.sqrt(nuisance[0] * nuisance[1])
    tau = np.array([kappa**2 / left**0.5, kappa**2 / right**0.5])
    return rho / nu, *(tau / (eta / np.sqrt(nuisance)))


CASES = {
    "both": (1.0, (0.3, 0.3), (1.0, 1.0), 0.3),
    "align": (0.5, (0.1, 0.1), (5.0, 5.0), 2.0),
    "predict": (1.5, (2.0, 2.0), (0.2, 0.2), 0.18),
    "neither": (0.5, (0.6, 0.6), (2.0, 2.0), 1.6),
}


@pytest.mark.parametrize("regime", CASES)
def test_pairs_of_a_known_regime_are_told_as_of_that_regime(regime):
    align, *predict = separations(*CASES[regime])
    assert (align > 1, max(predict) > 1) == (regime in ("both", "align"), regime in ("both", "predict"))
    found = diagnose(*spiked(*CASES[regime]), np.random.default_rng(0))
    assert found.regime == regime
    assert found.shares[regime] > 0.9
    for way, wanted in zip((ALIGN, TO_RIGHT, TO_LEFT), (align, *predict), strict=True):
        assert np.median(found.ways[way].separation) == pytest.approx(wanted, rel=0.25)
        assert np.median(found.ways[way].signal) == SIGNAL
        assert np.median(found.ways[way].recovered) == (SIGNAL if wanted > 1 else 0)


def test_the_better_way_to_predict_is_towards_where_nuisance_is_small():
    case = (1.0, (0.3, 0.3), (4.0, 0.25), 0.9)
    _, right, left = separations(*case)
    assert right > 1 > left
    assert diagnose(*spiked(*case), np.random.default_rng(0)).direction == TO_RIGHT


def test_without_signal_it_is_neither_and_separates_nothing():
    left, right, labels = spiked(*CASES["both"])
    found = diagnose(left, right, np.random.default_rng(1).permutation(labels), np.random.default_rng(0))
    assert found.regime == "neither"
    assert np.median(found.ways[ALIGN].signal) == 0
    assert np.median(found.ways[ALIGN].separation) == 0


def test_values_and_what_is_explained_are_those_of_another_library_on_the_other_half():
    left, right, labels = spiked(*CASES["both"], items=1000)
    halves = halves_of(1000, 1, np.random.default_rng(3))
    moments = moments_of(left, right, labels, halves)
    is_fitted = halves.fitted[0][halves.block]
    model = CCA(n_components=SIGNAL, scale=False, max_iter=5000, tol=1e-10).fit(left[is_fitted], right[is_fitted])
    one, other = model.transform(left[~is_fitted], right[~is_fitted])
    wanted = [np.corrcoef(one[:, place], other[:, place])[0, 1] for place in range(SIGNAL)]
    spectrum = aligned(moments)
    np.testing.assert_allclose(np.sort(spectrum.values[0, :SIGNAL].numpy()), np.sort(wanted), atol=0.02)

    source = left[is_fitted] - left[is_fitted].mean(0)
    variances, directions = np.linalg.eigh(source.T @ source / len(source))
    whitened = (directions / np.sqrt(variances)) @ directions.T
    goal = right[is_fitted] - right[is_fitted].mean(0)
    map_ = whitened @ np.linalg.svd(goal.T @ source / len(source) @ whitened)[2][0]
    regression = LinearRegression().fit((left[is_fitted] @ map_)[:, None], labels[is_fitted])
    errors = labels[~is_fitted] - regression.predict((left[~is_fitted] @ map_)[:, None])
    explained = (1 - errors.var(axis=0) / labels[~is_fitted].var(axis=0)).sum()
    assert predicted(moments, moments.left, moments.right).explained[0, 0].item() == pytest.approx(explained, abs=0.02)


def test_the_elbow_is_that_of_straight_lines_fitted_one_by_one():
    for seed in range(20):
        explained = np.random.default_rng(seed).lognormal(0, 2, 12)
        heights, places = np.sort(np.log(explained))[::-1], np.arange(12)
        errors = []
        for parts in ((slice(0, at), slice(at, 12)) for at in range(1, 12)):
            fits = [
                np.polyval(np.polyfit(places[p], heights[p], min(1, p.stop - p.start - 1)), places[p]) for p in parts
            ]
            errors.append(sum(((heights[p] - fit) ** 2).sum() for p, fit in zip(parts, fits, strict=True)))
        wanted = explained >= np.sort(explained)[::-1][np.argmin(errors)]
        np.testing.assert_array_equal(signal_among(explained, 1e-9), wanted)


def test_the_elbow_is_where_two_straight_lines_meet():
    explained = np.exp(np.array([2.0, 1.9, 1.8, -3.0, -3.5, -4.0, -4.5]))
    shuffled = np.array([3, 0, 6, 1, 5, 2, 4])
    np.testing.assert_array_equal(np.flatnonzero(signal_among(explained[shuffled], 1e-6)), [1, 3, 5])
    assert not signal_among(explained, 10.0).any(), "no more than chance"
    assert signal_among(np.array([1.0, 0.5]), 0.1).all()
