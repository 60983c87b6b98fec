"""What a run starts from: a closed form, statistics of its training set, another run."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from latent_samples import learnable_set
from training import arguments, recalls, weights

from fusemix.cli.called import run_command
from fusemix.errors import ConfigError, RunError
from fusemix.fusion.checkpoints import about, read_checkpoint, trained_model
from fusemix.fusion.closed_form import climbed
from fusemix.latents.sets import LatentSet

LINEAR = {"adapter__name": "linear", "adapter__options": "{}", "optim__max_epochs": 1}


SCALED = {"preprocess": "[standardise]", "optim__max_epochs": 1}


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """Runs that others start from: `csa`, and `scaled`."""
    folder = tmp_path_factory.mktemp("made")
    of = partial(arguments, partial(learnable_set, folder))
    run_command("train", of(folder / "csa", method="csa", **LINEAR))
    run_command("train", of(folder / "scaled", **SCALED))
    return folder


def test_the_closed_form_needs_no_training_loop_and_is_evaluated_like_any_run(make_set, tmp_path, capsys):
    best = run_command("train", arguments(make_set, tmp_path / "run", method="csa", **LINEAR))
    printed = capsys.readouterr().out
    assert "closed form with left_ridge " in printed
    assert "pairs a step" not in printed
    (recall,) = recalls(tmp_path / "run")
    assert recall > 0.9
    sets = [
        f"model={tmp_path / 'run'}",
        f"latents={make_set('test', num_left=60, seed=2)}",
        f"out={tmp_path / 'report'}",
    ]
    report = run_command("eval_retrieval", [*sets, "ks=[1]", "num_examples=0", "compute.accelerator=cpu"])
    assert json.loads(report.read_text())["metrics"]["text_to_image/recall_at_1"] > 0.9
    assert trained_model(read_checkpoint(best)).num_parameters() == {"image": 13 * 8, "text": 9 * 8}
    run_command("train", arguments(make_set, tmp_path / "run", method="csa", **LINEAR))
    assert "is trained already" in capsys.readouterr().out


def test_a_warm_start_begins_where_the_closed_form_ends(made, make_set, tmp_path):
    still = {"optim__lr": 1e-12, "optim__min_lr": 1e-13, "warm_start": "true"}
    run_command(
        "train",
        arguments(
            make_set,
            tmp_path / "warm",
            adapter__name="low_rank_residual",
            adapter__options="{}",
            optim__max_epochs=1,
            **still,
        ),
    )
    closed, warm = weights(made / "csa"), weights(tmp_path / "warm")
    for side in ("image", "text"):
        key = f"model.adapters.{side}.linear.weight"
        torch.testing.assert_close(warm[key], closed[key], atol=1e-6, rtol=0)


def test_the_closed_form_can_be_started_from_and_stand_beside_at_once(make_set, tmp_path):
    still = {"optim__lr": 1e-12, "optim__min_lr": 1e-13, "optim__max_epochs": 1}
    both = {
        **still,
        "adapter__name": "linear",
        "adapter__options": "{}",
        "warm_start": "true",
        "closed_form__share": 0.5,
    }
    run_command("train", arguments(make_set, tmp_path / "run", **both))
    found = weights(tmp_path / "run")
    for side in ("image", "text"):
        inside, beside = (found[f"model.{part}.{side}.linear.weight"] for part in ("adapters", "beside"))
        torch.testing.assert_close(inside, beside, atol=1e-6, rtol=0)


def test_beside_an_adapter_the_closed_form_gives_its_share_of_each_cosine(made, make_set, tmp_path):
    best = {}
    for name, share in (("alone", 0), ("both", 0.25)):
        changes = {"closed_form__share": share, "optim__max_epochs": 1}
        best[name] = read_checkpoint(run_command("train", arguments(make_set, tmp_path / name, **changes)))
    csa, alone, both = (trained_model(c) for c in (read_checkpoint(made / "csa/checkpoints/best.ckpt"), *best.values()))
    left, right = torch.randn(9, 12), torch.randn(7, 8)
    cosines = [model.embed("image", left) @ model.embed("text", right).T for model in (csa, alone, both)]
    torch.testing.assert_close(both.embed("image", left).norm(dim=1), torch.ones(9))
    torch.testing.assert_close(cosines[2], 0.25 * cosines[0] + 0.75 * cosines[1], atol=1e-5, rtol=0)
    assert not any(p.requires_grad for p in both.beside.parameters())


def test_a_climb_changes_one_setting_at_a_time_and_leaves_what_was_given():
    tried = []

    def recall(setting):
        tried.append(setting)
        return -abs(setting.left_ridge - 10) - abs(setting.power - 0.5)

    found = climbed(recall, {"right_ridge": 0.7})
    assert found == (10.0, 0.7, 0.5)
    assert len(tried) == len(set(tried)) < 20
    assert climbed(recall, {"left_ridge": 1.0, "right_ridge": 2.0, "power": 0.0}) == (1.0, 2.0, 0.0)


@pytest.mark.parametrize("way", [{"method": "csa"}, {"warm_start": "true"}])
def test_an_adapter_without_a_linear_part_cannot_start_from_the_closed_form(make_set, tmp_path, way):
    with pytest.raises(ConfigError, match="the image adapter has no linear part .* adapter.name=linear"):
        run_command("train", arguments(make_set, tmp_path / "run", **way))


def test_preprocessing_is_fitted_on_the_training_set_and_kept(make_set, tmp_path):
    changes = {"preprocess": "[standardise]", "optim__max_epochs": 1, "holdout": 0.25}
    best = run_command(
        "train", [a for a in arguments(make_set, tmp_path / "run", **changes) if not a.startswith("validation")]
    )
    side = LatentSet(make_set("again"), {"image": ["eyes"], "text": ["words"]}).left
    record = read_checkpoint(best)
    kept = record["state_dict"]["model.preprocessing.image.steps.0.mean"]
    everything = torch.from_numpy(side.take(np.arange(len(side)))).mean(dim=0)
    assert 0 < (kept - everything).abs().max() < 0.3, "held-out items took no part"
    embedded = trained_model(record).embed("image", torch.from_numpy(side.take(np.arange(5))))
    assert embedded.isfinite().all()


def test_a_run_starts_from_the_weights_of_another_and_what_that_has_beside_them(make_set, tmp_path, capsys):
    both = {"closed_form__share": 0.3, "preprocess": "[standardise]", "optim__max_epochs": 1}
    same = {"loss__name": "sigmoid", "temperature": 0.05, **both}
    run_command("train", arguments(make_set, tmp_path / "first", **same))
    still = {"optim__lr": 1e-12, "optim__min_lr": 1e-13, **same}
    run_command("train", arguments(make_set, tmp_path / "second", init_from=tmp_path / "first", **still))
    assert f"weights of image, text are those of {tmp_path / 'first'}" in capsys.readouterr().out
    before, after = weights(tmp_path / "first", "best"), weights(tmp_path / "second")
    assert float(before["loss.bias"]) != -10
    assert before.keys() - after.keys() == {"model.rotation"}, "a run is turned when it ends, and not before"
    for key in before.keys() & after.keys():
        torch.testing.assert_close(after[key], before[key], atol=1e-6, rtol=0)
    for side in ("image", "text"):
        assert torch.equal(before[f"model.beside.{side}.linear.weight"], after[f"model.beside.{side}.linear.weight"])
    record = about(read_checkpoint(tmp_path / "second" / "checkpoints" / "last.ckpt"))
    assert len(record["init_from"]) == 64
    sounds, held_out = make_set("sounds", left="audio"), make_set("held_out", seed=1, num_left=40, left="audio")
    other = arguments(
        make_set, tmp_path / "third", init_from=tmp_path / "first", train=sounds, validation=held_out, **both
    )
    with pytest.raises(RunError, match="belongs to both modalities, and it has only text. Set closed_form.share=0"):
        run_command("train", [*other, "encoders={audio: [eyes], text: [words]}"])


def test_a_modality_that_the_other_run_lacks_starts_anew_and_is_preprocessed(made, make_set, tmp_path):
    sounds, held_out = make_set("sounds", left="audio"), make_set("held_out", seed=1, num_left=40, left="audio")
    other = arguments(
        make_set, tmp_path / "run", init_from=made / "scaled", train=sounds, validation=held_out, **SCALED
    )
    run_command(
        "train", [a for a in other if not a.startswith("encoders")] + ["encoders={audio: [eyes], text: [words]}"]
    )
    assert weights(tmp_path / "run")["model.preprocessing.audio.steps.0.mean"].abs().sum() > 0


def test_a_start_that_does_not_fit_is_refused(made, make_set, tmp_path):
    out = tmp_path / "run"
    with pytest.raises(RunError, match="its adapters are built otherwise .* Give the same adapter"):
        run_command("train", arguments(make_set, out, init_from=made / "scaled", embedding_dim=5, **SCALED))
    with pytest.raises(RunError, match="there is no checkpoint"):
        run_command("train", arguments(make_set, out, init_from=tmp_path / "nothing"))
    assert not out.exists()


def test_three_modalities_share_one_space(make_set, tmp_path):
    """Text with images, and text with sounds; the text adapter serves both."""
    sounds = make_set("sounds", seed=4, left="audio")
    held_out = make_set("held_out", seed=5, num_left=40, left="audio")
    also = f"{{sounds: {{train: {sounds}, validation: {held_out}}}}}"
    three = {"encoders": "{image: [eyes], text: [words], audio: [eyes]}", "also": also, "mixup__name": "none"}
    pace = {"optim__max_epochs": 4, "optim__lr": 0.04, "optim__batch_size": 32}
    best = run_command("train", arguments(make_set, tmp_path / "run", **pace, **three))
    model = trained_model(read_checkpoint(best))
    assert sorted(model.dims) == ["audio", "image", "text"]
    with_sounds = recalls(tmp_path / "run", "validation/sounds/mean_recall")
    with_images, mean = (
        recalls(tmp_path / "run", f"validation/{name}") for name in ("text_to_image/recall_at_1", "mean_recall")
    )
    assert with_sounds[-1] > 0.5
    assert with_images[-1] > 0.3
    assert len(mean) == 4
    # A new run may take over the modalities that it shares with another.
    run_command("train", arguments(make_set, tmp_path / "two", init_from=best, optim__max_epochs=1))


def test_a_set_whose_encoders_differ_is_refused(make_set, tmp_path):
    sounds = make_set("sounds", seed=4, left="audio")
    manifest = sounds / "text" / "words" / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"family": "words"', '"family": "letters"'))
    three = {"encoders": "{image: [eyes], text: [words], audio: [eyes]}", "also": f"{{sounds: {{train: {sounds}}}}}"}
    with pytest.raises(RunError, match=r"(?s)sounds: its text latents were not made like.*'letters', now 'words'"):
        run_command("train", arguments(make_set, tmp_path / "run", **three))


def test_a_validation_set_of_other_modalities_is_refused(make_set, tmp_path):
    other = make_set("others", left="audio")
    with pytest.raises(RunError, match="others pairs audio and text, but .*train does not"):
        run_command(
            "train",
            arguments(
                make_set, tmp_path / "run", validation=other, encoders="{image: [eyes], text: [words], audio: [eyes]}"
            ),
        )
