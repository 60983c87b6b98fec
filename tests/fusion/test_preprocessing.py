import numpy as np
import pytest
import torch

from fusemix.errors import ConfigError
from fusemix.fusion.preprocessing import STEPS, Preprocessing, moments

torch.manual_seed(0)
LATENTS = torch.randn(500, 6) @ torch.randn(6, 6) * torch.tensor([1, 5, 0.1, 2, 1, 1]) + torch.arange(6) * 10.0
LATENTS[:, 4] = 3.25
"""Correlated, far from the origin, of different spread, and constant in one dimension."""


def fitted(*steps: str, dims: tuple[int, ...] = (6,)) -> Preprocessing:
    preprocessing = Preprocessing(steps, dims)
    preprocessing.fit(lambda: LATENTS.split(64))
    return preprocessing


def test_no_step_leaves_latents_as_they_are():
    assert torch.equal(fitted()(LATENTS), LATENTS)


def test_half_precision_becomes_single():
    assert fitted()(LATENTS.half()).dtype == torch.float32


def test_each_encoder_gets_a_length_of_its_own():
    scaled = fitted("l2", dims=(2, 4))(LATENTS)
    torch.testing.assert_close(scaled[:, :2].norm(dim=1), torch.full((500,), 2**0.5))
    torch.testing.assert_close(scaled[:, 2:].norm(dim=1), torch.full((500,), 2.0))


def test_standardised_dimensions_have_mean_nought_and_variance_one_and_constant_ones_are_nought():
    out = fitted("standardise")(LATENTS)
    varying = [0, 1, 2, 3, 5]
    torch.testing.assert_close(out.mean(dim=0), torch.zeros(6), atol=1e-4, rtol=0)
    torch.testing.assert_close(out[:, varying].var(dim=0, unbiased=False), torch.ones(5), atol=1e-4, rtol=0)
    assert (out[:, 4] == 0).all()


def test_whitening_without_a_ridge_leaves_the_identity_as_covariance(monkeypatch):
    monkeypatch.setattr(STEPS["whiten"], "RIDGE", 0.0)
    out = fitted("whiten")(LATENTS).double()
    spectrum = np.linalg.eigvalsh(np.cov(out.numpy(), rowvar=False, bias=True))
    np.testing.assert_allclose(spectrum, [0, 1, 1, 1, 1, 1], atol=1e-3)


def test_whitening_agrees_with_its_formula():
    whiten = fitted("whiten").steps[0]
    covariance = np.cov(LATENTS.double().numpy(), rowvar=False, bias=True)
    variances, directions = np.linalg.eigh(covariance)
    factors = (np.maximum(variances, 0) + 0.1 * np.maximum(variances, 0).mean()) ** -0.5
    factors[variances < 1e-9] = 0
    np.testing.assert_allclose(whiten.matrix, directions * factors @ directions.T, atol=1e-4)


@pytest.mark.parametrize("step", list(STEPS))
def test_constant_dimensions_give_no_nan(step):
    constant = torch.zeros(20, 4)
    constant[:, 0] = torch.randn(20)
    preprocessing = Preprocessing([step], [4])
    preprocessing.fit(lambda: [constant])
    assert preprocessing(constant).isfinite().all()
    assert preprocessing(torch.zeros(3, 4)).isfinite().all()


def test_a_step_is_fitted_on_what_the_one_before_leaves():
    both = fitted("l2", "standardise")
    alone = Preprocessing(["standardise"], [6])
    alone.fit(lambda: [fitted("l2")(LATENTS)])
    torch.testing.assert_close(both(LATENTS), alone(fitted("l2")(LATENTS)))


def test_statistics_are_kept_with_the_model():
    copy = Preprocessing(["standardise", "whiten"], [6])
    copy.load_state_dict(fitted("standardise", "whiten").state_dict())
    torch.testing.assert_close(copy(LATENTS), fitted("standardise", "whiten")(LATENTS))


def test_moments_agree_with_numpy_however_they_are_cut():
    for size in (7, 500):
        mean, covariance = moments(lambda size=size: LATENTS.split(size))
        np.testing.assert_allclose(mean, LATENTS.double().mean(dim=0))
        expected = np.cov(LATENTS.double().numpy(), rowvar=False, bias=True)
        np.testing.assert_allclose(covariance, expected, atol=1e-9)
        variances = moments(lambda size=size: LATENTS.split(size), diagonal=True)[1]
        np.testing.assert_allclose(variances, np.diag(expected), atol=1e-9)


def test_an_unknown_step_is_named():
    with pytest.raises(
        ConfigError, match=r"no step of preprocess is called 'whitn'. Did you mean 'whiten'\? Known: l2"
    ):
        Preprocessing(["whitn"], [4])


@pytest.mark.parametrize("steps", [[], ["standardise"], ["whiten"], ["standardise", "whiten"]])
def test_what_was_done_is_undone(steps):
    preprocessing = fitted(*steps)
    torch.testing.assert_close(preprocessing.undo(preprocessing(LATENTS)), LATENTS, atol=1e-2, rtol=1e-3)


def test_of_unit_length_all_but_the_length_comes_back():
    preprocessing = Preprocessing(["l2", "standardise"], [6])
    preprocessing.fit(lambda: [LATENTS])
    found = preprocessing.undo(preprocessing(LATENTS))
    torch.testing.assert_close(
        *(torch.nn.functional.normalize(rows, dim=1) for rows in (found, LATENTS)), atol=1e-4, rtol=1e-3
    )
