"""A side that stays as it is is met at the very place: a regression beside the contrastive loss."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from training import arguments, weights

from fusemix.cli.called import run_command
from fusemix.errors import ConfigError
from fusemix.fusion.checkpoints import about, read_checkpoint, trained_model
from fusemix.fusion.losses.regression import mean_squared_distance
from fusemix.latents.sets import LatentSet

ONTO_TEXT = {"embedding_dim": "auto", "adapter": "linear", "adapters.text": "identity", "mixup": "none"}


def trained(make_set, out, **changes):
    how = {**ONTO_TEXT, "optim__max_epochs": 1, "optim__lr": 0.01, "logger": "[csv]", **changes}
    settings = arguments(make_set, out, **how)
    return run_command("train", [one for one in settings if not one.startswith("adapter.options=")])


def logged(out):
    rows = [line.split(",") for line in (out / "metrics.csv").read_text().splitlines()]
    return {name: [float(row[place]) for row in rows[1:] if row[place]] for place, name in enumerate(rows[0])}


def test_the_distance_and_its_gradient_are_those_of_the_closed_form():
    generator = torch.Generator().manual_seed(0)
    made = torch.randn(5, 4, generator=generator, dtype=torch.float64).requires_grad_()
    fixed = F.normalize(torch.randn(5, 4, generator=generator, dtype=torch.float64), dim=1)
    unit = F.normalize(made, dim=1)
    found = mean_squared_distance(unit, fixed)
    found.backward()
    torch.testing.assert_close(found, (unit - fixed).square().sum(dim=1).mean())
    along = (unit * fixed).sum(dim=1, keepdim=True)
    torch.testing.assert_close(made.grad, (-2 / 5 * (fixed - along * unit) / made.norm(dim=1, keepdim=True)).detach())


def test_each_of_several_positives_counts_whichever_side_they_stand_on():
    generator = torch.Generator().manual_seed(0)
    one, many = (F.normalize(torch.randn(rows, 4, generator=generator), dim=1) for rows in (3, 6))
    wanted = [float((one[row % 3] - many[row]).square().sum()) for row in range(6)]
    assert float(mean_squared_distance(one, many)) == pytest.approx(np.mean(wanted), rel=1e-5)
    with pytest.raises(ValueError, match="no multiple"):
        mean_squared_distance(one, many[:4])


def test_with_a_weight_of_nought_a_run_is_the_run_without_bit_by_bit(make_set, tmp_path):
    without, nought = (trained(make_set, tmp_path / name, **how) for name, how in CALLED.items())
    assert {name: value.tolist() for name, value in weights(tmp_path / "without").items()} == {
        name: value.tolist() for name, value in weights(tmp_path / "nought").items()
    }
    assert "regression" not in about(read_checkpoint(nought))["config"], "it is the run of an earlier fusemix, too"
    assert about(read_checkpoint(without))["config"] == about(read_checkpoint(nought))["config"]
    assert "train/regression" not in logged(tmp_path / "without")


CALLED = {"without": {}, "nought": {"regression__weight": 0.0}}


def cosines(checkpoint, folder):
    """Of partners, over all of a set."""
    latent_set = LatentSet(folder, {"image": ["eyes"], "text": ["words"]})
    model = trained_model(read_checkpoint(checkpoint))
    with torch.inference_mode():
        left, right = (
            model.embed(side.modality, torch.from_numpy(side.take(rows)))
            for side, rows in zip(latent_set.sides, latent_set.links.T, strict=True)
        )
    return float((left * right).sum(dim=1).mean())


def test_it_brings_embeddings_to_where_their_partners_are(make_set, tmp_path):
    how = {"optim__max_epochs": 4, "optim__lr": 0.03}
    plain = trained(make_set, tmp_path / "plain", **how)
    drawn = trained(make_set, tmp_path / "drawn", regression__weight=10, **how)
    one, other = (cosines(best, make_set("test", num_left=60, seed=2)) for best in (plain, drawn))
    assert other > one + 0.05, (one, other)
    assert other > 0.95
    figures = logged(tmp_path / "drawn")["train/regression"]
    assert len(figures) == 4
    assert figures[-1] < 0.1 < figures[0]


@pytest.mark.parametrize("changes", [{"adapters.text": "linear"}, {"adapters.text": "linear", "embedding_dim": 8}])
def test_it_needs_just_one_side_that_stays(make_set, tmp_path, changes):
    with pytest.raises(ConfigError, match="just one of image and text must have the adapter identity"):
        trained(make_set, tmp_path / "run", regression__weight=1, **changes)
    assert not (tmp_path / "run").exists()


def test_the_closed_form_alone_has_none(make_set, tmp_path):
    with pytest.raises(ConfigError, match=r"none of init_from, closed_form.share and regression.weight goes with it"):
        trained(make_set, tmp_path / "run", regression__weight=1, method="csa")


@pytest.mark.parametrize("steps", ["[]", "[l2,whiten]"])
def test_a_run_notes_how_long_the_latents_are_that_stay_as_they_are(make_set, tmp_path, steps, capsys):
    best = trained(make_set, tmp_path / "run", preprocess=steps)
    found = about(read_checkpoint(best))["ended"]["lengths"]
    side = LatentSet(make_set("train"), {"image": ["eyes"], "text": ["words"]}).right
    lengths = np.linalg.norm(side.take(np.arange(len(side))).astype(np.float64), axis=1)
    assert found.keys() == {"text"}
    assert found["text"]["mean"] == pytest.approx(lengths.mean(), rel=1e-6)
    assert [found["text"][name] for name in ("low", "high")] == pytest.approx(np.percentile(lengths, [1, 99]), rel=1e-6)
    assert "text latents, which stay as they are, are" in capsys.readouterr().out


def test_a_run_without_such_a_side_notes_none(make_set, tmp_path):
    best = run_command("train", arguments(make_set, tmp_path / "run", optim__max_epochs=1))
    assert "lengths" not in about(read_checkpoint(best))["ended"]


def test_the_end_of_a_run_leaves_the_space_where_it_was(make_set, tmp_path):
    """Neither turned, nor moved, nor widened by a closed form."""
    latents = LatentSet(make_set("train"), {"image": ["eyes"], "text": ["words"]}).right.take(np.arange(20))
    best = trained(make_set, tmp_path / "run")
    with torch.inference_mode():
        found = trained_model(read_checkpoint(best)).embed("text", torch.from_numpy(latents))
    torch.testing.assert_close(found, F.normalize(torch.from_numpy(latents).float(), dim=1))
    with pytest.raises(ConfigError, match="would make other, wider ones of them"):
        trained(make_set, tmp_path / "wider", closed_form__share=0.3)
