"""A run that is trained is turned onto its principal axes, once, unless its space is somebody else's."""

import numpy as np
import pytest
import torch
from training import arguments

from fusemix.cli.called import run_command
from fusemix.config import PartConfig, TrainConfig
from fusemix.fusion.checkpoints import about, read_checkpoint, trained_model, weights_sha256
from fusemix.fusion.model import FusionModel
from fusemix.latents.loader import LatentData
from fusemix.latents.sets import LatentSet
from fusemix.wiring.training import turning
from fusemix.wiring.training.turning import turn

NAMES = {"image": "eyes", "text": "words"}


@pytest.fixture
def both(make_set, tmp_path):
    """The last epoch of a run as it was, and as its best one, turned."""
    best = run_command("train", arguments(make_set, tmp_path / "run", closed_form__share=0.3, optim__max_epochs=1))
    return [read_checkpoint(best.with_name(name)) for name in ("last.ckpt", best.name)]


def embeddings(checkpoint, make_set):
    latent_set = LatentSet(make_set("train"), {modality: [name] for modality, name in NAMES.items()})
    with torch.inference_mode():
        model = trained_model(checkpoint)
        return [
            model.embed(side.modality, torch.from_numpy(side.take(np.unique(rows)))).double().numpy()
            for side, rows in zip(latent_set.sides, latent_set.links.T, strict=True)
        ]


def test_the_best_epoch_is_turned_cosines_stay_and_the_first_numbers_say_most(both, make_set):
    before, after = (embeddings(checkpoint, make_set) for checkpoint in both)
    np.testing.assert_allclose(after[0] @ after[1].T, before[0] @ before[1].T, atol=1e-6)
    moment = sum(side.T @ side / len(side) for side in before) / 2
    by_axis = sum((side**2).mean(axis=0) for side in after) / 2
    np.testing.assert_allclose(by_axis, np.linalg.eigvalsh(moment)[::-1], atol=1e-6)


def test_it_is_noted_and_the_weights_are_others(both):
    last, best = both
    assert about(best)["ended"]["is_rotated"]
    assert trained_model(last).rotation is None
    assert weights_sha256(last) != weights_sha256(best)


def test_a_run_that_has_only_its_best_epoch_left_goes_on_from_it_as_it_was_trained(make_set, tmp_path):
    still = {"optim__lr": 1e-12, "optim__min_lr": 1e-13, "optim__max_epochs": 2}
    best = run_command("train", arguments(make_set, tmp_path / "run", **still))
    best.with_name("last.ckpt").unlink()
    run_command("train", arguments(make_set, tmp_path / "run", **still))
    assert trained_model(read_checkpoint(best.with_name("last.ckpt"))).rotation is None
    found = read_checkpoint(best)
    assert about(found)["ended"]["is_rotated"]
    assert trained_model(found).rotation is not None


def test_of_large_sets_a_sample_gives_nearly_the_same_axes(both, make_set, tmp_path, monkeypatch):
    monkeypatch.setattr(turning, "MOST_ROWS", 50)
    how = {"closed_form__share": 0.3, "optim__max_epochs": 1}
    best = read_checkpoint(run_command("train", arguments(make_set, tmp_path / "sampled", **how)))
    whole, sampled = (trained_model(checkpoint).rotation for checkpoint in (both[1], best))
    moment = sum(side.T @ side / len(side) for side in embeddings(both[0], make_set)) / 2
    held = [np.trace((axes.T @ moment @ axes)[:4, :4]) for axes in (whole.double().numpy(), sampled.double().numpy())]
    assert not torch.equal(whole, sampled)
    assert 0.95 * held[0] < held[1] < held[0]


@pytest.mark.parametrize("adapters", [{"image": "identity", "text": "identity"}, {"text": "identity"}])
def test_a_space_that_exists_already_is_left_alone(adapters):
    model = FusionModel(
        dims={"image": [4], "text": [4]}, embedding_dim=4, adapters=dict.fromkeys(["image", "text"], ("linear", {}))
    )
    parts = {modality: PartConfig(name=name) for modality, name in adapters.items()}
    config = TrainConfig(train="t", holdout=0.1, encoders={m: [n] for m, n in NAMES.items()}, out="o", adapters=parts)
    facts, told = turn(model, config, LatentData([], parts=1, latents_on="device", seed=0))
    assert (facts, model.rotation) == ({}, None)
    assert told == ["embeddings are not turned onto their principal axes, since identity keeps its space"]
