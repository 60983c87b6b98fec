"""Of the best epoch and the last one a run keeps the last, unless validation can tell that the best is better."""

from functools import partial

import numpy as np
import pytest
import torch
from latent_samples import learnable_set
from training import arguments

from fusemix.cli.called import run_command
from fusemix.cli.loading import load_config
from fusemix.config import TrainConfig
from fusemix.fusion.checkpoints import read_checkpoint
from fusemix.retrieval.metrics import flat, measure, with_sums
from fusemix.retrieval.standard_error import gain
from fusemix.wiring.training.data import latent_data
from fusemix.wiring.training.last_epoch import kept

KS = [1, 5, 10]


def unit(rows: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.normalize(rows, dim=1)


def measured(generator: torch.Generator, num_left: int, noise: float):
    """Pictures with one to five captions each, found through so much noise, and the links."""
    left = torch.randn(num_left, 16, generator=generator)
    links = np.array([(item, 0) for item in range(num_left) for _ in range(1 + item % 5)])
    links[:, 1] = np.random.default_rng(0).permutation(len(links))
    right = torch.empty(len(links), 16)
    right[links[:, 1]] = left[links[:, 0]] + 1.5 * torch.randn(len(links), 16, generator=generator)
    moved = [unit(side + noise * torch.randn(side.shape, generator=generator)) for side in (left, right)]
    sides = [(unit(left), unit(right)), (moved[0], moved[1])]
    return *(measure(*both, links, ("image", "text"), KS) for both in sides), links


def test_mean_recalls_are_those_of_validation_and_the_error_is_the_bootstraps():
    before, after, links = measured(torch.Generator().manual_seed(0), 300, 0.5)
    found = gain(before, after, links)
    for recall, directions in ((found.before, before), (found.after, after)):
        assert recall == pytest.approx(with_sums(flat(directions))["mean_recall"])
    generator, owner = np.random.default_rng(1), np.empty(len(links), dtype=int)
    owner[links[:, 1]] = links[:, 0]
    hits = [[np.mean([one.values[f"recall_at_{k}"] for k in KS], axis=0) for one in both] for both in (before, after)]
    change = [later - earlier for earlier, later in zip(*hits, strict=True)]
    drawn = []
    for _ in range(4000):
        times = np.bincount(generator.integers(300, size=300), minlength=300)
        weights = times, times[owner]
        drawn.append(np.mean([np.average(some, weights=weight) for some, weight in zip(change, weights, strict=True)]))
    assert found.error == pytest.approx(np.std(drawn), rel=0.1)
    assert found.after - found.before == pytest.approx(np.mean(drawn), abs=0.1 * found.error)


def test_nothing_is_sure_of_one_picture():
    links = np.array([(0, 0), (0, 1)])
    both = measure(torch.eye(1, 4), torch.eye(2, 4), links, ("image", "text"), [1])
    assert gain(both, both, links).error == np.inf


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The data of a run, its best checkpoint as it was trained, and one of an epoch after it."""
    place = tmp_path_factory.mktemp("run")
    words = arguments(partial(learnable_set, place), place / "run", optim__max_epochs=4, optim__lr=0.01)
    last = read_checkpoint(run_command("train", words).with_name("last.ckpt"))
    data, _ = latent_data(load_config(TrainConfig, words), 2, 1)
    return data, {**last, "epoch": last["epoch"] - 1}, last


def shaken(checkpoint, by: float):
    generator = torch.Generator().manual_seed(0)
    weights = {
        name: value + by * torch.randn(value.shape, generator=generator) if name.endswith("weight") else value
        for name, value in checkpoint["state_dict"].items()
    }
    return {**checkpoint, "state_dict": weights}


@pytest.mark.parametrize(("by", "is_kept"), [(1e-4, True), (3.0, False), (float("nan"), False)])
def test_the_last_one_is_kept_unless_it_is_surely_worse(run, by, is_kept):
    data, best, last = run
    last = shaken(last, by)
    found, facts, told = kept(best, last, data, torch.device("cpu"))
    assert found is (last if is_kept else best)
    assert ("mean_recall" in facts) == is_kept
    assert [("last epoch is kept" in line, f"after epoch {best['epoch'] + 1}" in line) for line in told] == [
        (True, True)
    ] * is_kept


def test_one_that_ran_out_of_patience_stands_amid_its_schedule_and_is_not_kept(run):
    data, best, last = run
    stopped = {"EarlyStopping{'monitor': 'validation/mean_recall'}": {"wait_count": 3, "patience": 3}}
    assert kept(best, {**last, "callbacks": stopped}, data, torch.device("cpu")) == (best, {}, [])
