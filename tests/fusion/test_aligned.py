"""Latents that share a space already: what a run starts from, and how far it moves."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from training import recalls, weights

from fusemix.cli.called import run_command
from fusemix.errors import ConfigError
from fusemix.fusion.adapters.aligned_residual import AlignedResidual
from fusemix.fusion.checkpoints import about, read_checkpoint, trained_model
from fusemix.fusion.closed_form import LinearMap
from fusemix.fusion.near_identity import of_one_length, of_one_side
from fusemix.fusion.temperature import best_temperature
from fusemix.models.given_latents import GivenLatents
from fusemix.models.trained import open_trained
from fusemix.wiring.caching.arrays import write_arrays
from fusemix.wiring.training.moving import NOWHERE, Move, chosen_move

UNIT = torch.nn.functional.normalize


def aligned_pair(count: int, noise: float, seed: int = 0, width: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Latents of two sides of one space, which find one another the less the more noise there is."""
    generator = np.random.default_rng(seed)
    shared = generator.standard_normal((count, width))
    left, right = (shared + noise * generator.standard_normal(shared.shape) for _ in range(2))
    return left.astype(np.float32), right.astype(np.float32)


def write(folder: Path, left: np.ndarray, right: np.ndarray) -> Path:
    sides = {"image": GivenLatents("images", left), "text": GivenLatents("texts", right)}
    return write_arrays(folder, sides, np.column_stack([np.arange(len(left))] * 2))


def arguments(folder: Path, **changes: object) -> list[str]:
    settings = {
        "train": folder / "train",
        "validation": folder / "validation",
        "encoders": "{image: [given], text: [given]}",
        "out": folder / "run",
        "embedding_dim": "auto",
        "adapter.name": "aligned_residual",
        "mixup": "none",
        "optim.batch_size": 16,
        "optim.max_epochs": 3,
        "optim.warmup_steps": 1,
        "compute": "cpu",
        **{key.replace("__", "."): value for key, value in changes.items()},
    }
    return [f"{key}={value}" for key, value in settings.items()]


@pytest.fixture
def pairs(tmp_path) -> Path:
    """Pairs to train on whose links are wrong, and good ones to choose on."""
    left, right = aligned_pair(96, 1.0)
    write(tmp_path / "train", left, np.roll(right, 1, axis=0))
    write(tmp_path / "validation", *aligned_pair(60, 1.0, seed=1))
    return tmp_path


def mean_recall(left: torch.Tensor, right: torch.Tensor) -> float:
    """Of linked rows, counted by hand: mean of recall at 1, 5 and 10, both ways."""
    scores = UNIT(left) @ UNIT(right).T
    ranks = [(one > one.diagonal()[:, None]).sum(dim=1) for one in (scores, scores.T)]
    return float(np.mean([[float((rank < k).float().mean()) for k in (1, 5, 10)] for rank in ranks]))


def test_a_run_that_ends_below_zero_shot_is_drawn_back_to_it(pairs, capsys):
    best = run_command("train", arguments(pairs, optim__lr=0.1))
    said = capsys.readouterr().out
    left, right = map(torch.from_numpy, aligned_pair(60, 1.0, seed=1))
    alone = mean_recall(left, right)
    assert max(recalls(pairs / "run")) < alone - 0.05, "training alone has made it worse"
    assert recalls(pairs / "run", "validation/zero_shot") == pytest.approx([alone] * 3)
    assert f"nothing beats their mean recall of {alone:.1%}" in said
    checkpoint = read_checkpoint(best)
    assert about(checkpoint)["ended"]["moved"]["residual"] == 0
    assert about(checkpoint)["ended"]["zero_shot"] == pytest.approx(alone)
    model = trained_model(checkpoint)
    found = model.embed("image", left) @ model.embed("text", right).T  # turned, which leaves cosines
    torch.testing.assert_close(found, UNIT(left) @ UNIT(right).T)


def test_what_helps_on_validation_is_kept_and_the_closed_form_has_its_share(tmp_path, capsys):
    turned = np.linalg.qr(np.random.default_rng(5).standard_normal((12, 12)))[0].astype(np.float32)
    for name, seed in (("train", 0), ("validation", 1)):
        left, right = aligned_pair(120, 0.3, seed)
        write(tmp_path / name, left, 0.3 * right + right @ turned)
    best = run_command("train", arguments(tmp_path, closed_form__share=0.3, optim__lr=0.003))
    ended = about(read_checkpoint(best))["ended"]
    assert ended["share"] > 0
    assert ended["mean_recall"] > max(recalls(tmp_path / "run")) - 1e-6
    assert ended["mean_recall"] > ended["zero_shot"] + 0.1
    assert f"{ended['share']:.0%} of each cosine from the closed form" in capsys.readouterr().out
    left, right = aligned_pair(120, 0.3, 1)
    model = trained_model(read_checkpoint(best))
    found = [model.embed("image", torch.from_numpy(left))]
    found.append(model.embed("text", torch.from_numpy(0.3 * right + right @ turned)))
    assert mean_recall(*found) == pytest.approx(ended["mean_recall"], abs=0.01)


def test_a_closed_form_that_does_not_help_is_left_out_and_so_are_its_numbers(pairs):
    best = run_command("train", arguments(pairs, closed_form__share=0.5, optim__lr=0.03, optim__max_epochs=1))
    model = trained_model(read_checkpoint(best))
    assert (model.share, model.width, len(model.beside)) == (0, 12, 0)
    out = run_command(
        "eval_retrieval",
        [f"model={pairs / 'run'}", f"latents={pairs / 'validation'}", f"out={pairs / 'report'}", "num_examples=0"],
    )
    ended = about(read_checkpoint(best))["ended"]
    measured = json.loads(out.read_text())["metrics"]
    found = [measured[f"{way}/recall_at_{k}"] for way in ("image_to_text", "text_to_image") for k in (1, 5, 10)]
    assert np.mean(found) == pytest.approx(ended["mean_recall"])
    run_command("export", [f"model={pairs / 'run'}", f"out={pairs / 'export'}"])
    exported, latents = open_trained(pairs / "export").model, torch.randn(5, 12)
    torch.testing.assert_close(exported.embed("image", latents), model.embed("image", latents))


def test_a_run_of_the_identity_trains_nothing_but_the_temperature(pairs, capsys):
    identity = {"adapter__name": "identity", "optim__max_epochs": 1}
    best = run_command("train", arguments(pairs, **identity))
    assert "adapters of image 0.00 M, text 0.00 M parameters; embeddings of 12 numbers" in capsys.readouterr().out
    model = trained_model(read_checkpoint(best))
    assert model.num_parameters() == {"image": 0, "text": 0}
    run_command("train", arguments(pairs, **identity))
    assert "is trained already" in capsys.readouterr().out


def test_widths_that_differ_are_told_in_one_message(tmp_path):
    left, right = aligned_pair(40, 0.1)
    write(tmp_path / "train", left, right[:, :8])
    with pytest.raises(ConfigError) as error:
        run_command("train", arguments(tmp_path, validation="null", holdout=0.2, adapter__name="identity"))
    assert str(error.value) == (
        "adapter 'identity' keeps the width of latents, and widths differ: image latents of 12 and text latents of 8 "
        "numbers. Such sides share no space: give one of them another adapter, or latents of two encoders that were "
        "trained together."
    )


def test_the_identity_on_one_side_and_a_number_that_is_not_its_width_do_not_go_together(pairs):
    with pytest.raises(ConfigError, match="'identity' keeps the width of latents, which are 12 wide"):
        run_command(
            "train", arguments(pairs, adapter__name="linear", adapters="{text: {name: identity}}", embedding_dim=6)
        )


def test_the_closed_form_beside_would_change_a_side_that_is_to_stay(pairs):
    with pytest.raises(ConfigError, match=r"text has the adapter identity, .* Set closed_form.share=0\."):
        run_command(
            "train",
            arguments(pairs, adapter__name="linear", adapters="{text: {name: identity}}", closed_form__share=0.3),
        )


@pytest.mark.parametrize(("width", "asked"), [(12, "identity"), (512, "linear")])
def test_an_automatic_width_is_that_of_latents_that_stay_as_they_are_else_512(pairs, width, asked):
    how = {"adapter__name": "linear", "adapters": f"{{text: {{name: {asked}}}}}", "optim__max_epochs": 1}
    best = run_command("train", arguments(pairs, **how))
    record = about(read_checkpoint(best))
    assert record["config"]["embedding_dim"] == width
    assert trained_model(read_checkpoint(best)).width == width


def test_an_automatic_temperature_is_where_the_loss_of_training_pairs_is_least(pairs, capsys):
    still = {"optim__lr": 1e-12, "optim__min_lr": 1e-13, "optim__max_epochs": 1}
    run_command("train", arguments(pairs, temperature="auto", **still))
    (line,) = (line for line in capsys.readouterr().out.splitlines() if "by a batch of training pairs" in line)
    said = float(line.split()[1].rstrip(","))
    assert float(weights(pairs / "run")["model.log_logit_scale"].neg().exp()) == pytest.approx(said, abs=1e-4)


def test_one_side_alone_moves_by_a_linear_map_near_the_identity(tmp_path, capsys):
    turned = np.linalg.qr(np.random.default_rng(5).standard_normal((12, 12)))[0].astype(np.float32)
    for name, seed in (("train", 0), ("validation", 1)):
        left, right = aligned_pair(120, 0.3, seed)
        write(tmp_path / name, left + left @ turned, right)
    one = "{image: {name: aligned_residual, options: {linear: true}}, text: {name: identity}}"
    best = run_command("train", arguments(tmp_path, adapters=one))
    assert "times a linear map of image beside the identity" in capsys.readouterr().out
    ended = about(read_checkpoint(best))["ended"]
    assert ended["moved"]["linear"] > 0
    assert ended["mean_recall"] > ended["zero_shot"] + 0.05
    model = trained_model(read_checkpoint(best))
    left, right = map(torch.from_numpy, aligned_pair(120, 0.3, 1))
    found = model.embed("image", left + left @ torch.from_numpy(turned)), model.embed("text", right)
    torch.testing.assert_close(found[1], UNIT(right))
    assert mean_recall(*found) == pytest.approx(ended["mean_recall"], abs=0.01)


def test_two_sides_do_not_both_move_by_a_linear_map(pairs):
    with pytest.raises(ConfigError, match="the option linear of aligned_residual moves one side"):
        run_command("train", arguments(pairs, adapter__options="{linear: true}"))


def test_the_map_of_one_side_gives_the_inner_products_of_both_maps():
    own, other = (LinearMap(torch.randn(5, 7), torch.randn(5)) for _ in range(2))
    one, latents, others = of_one_side(own, other), torch.randn(9, 7), torch.randn(4, 7)
    both = (latents @ own.weight.T + own.bias) @ (others @ other.weight.T).T
    torch.testing.assert_close((latents @ one.weight.T + one.bias) @ others.T, both)


def test_a_ridge_towards_the_identity_goes_from_the_plain_form_to_the_identity():
    latents, plain = torch.randn(9, 7), LinearMap(torch.randn(7, 7), torch.randn(7))
    scaled = of_one_length(plain, latents)
    made = latents @ scaled.weight.T + scaled.bias
    torch.testing.assert_close(made.square().sum(), latents.square().sum())
    adapter = AlignedResidual(input_dim=7, output_dim=7, linear=True)
    adapter.take_linear(*scaled)
    for lean, limit in ((0.0, latents), (1e6, latents @ plain.weight.T + plain.bias)):
        adapter.move(residual=0.0, linear=lean)
        torch.testing.assert_close(UNIT(adapter(latents)), UNIT(limit))


@pytest.mark.parametrize("noise", [0.5, 1.0, 2.0])
def test_the_best_temperature_is_that_of_a_fine_grid(noise):
    left, right = (UNIT(torch.from_numpy(side)) for side in aligned_pair(50, noise))
    grid = np.geomspace(0.001, 0.5, 4000)
    target = torch.arange(50)
    losses = []
    for temperature in grid:
        logits = left @ right.T / temperature
        losses.append(sum(float(torch.nn.functional.cross_entropy(one, target)) for one in (logits, logits.T)))
    assert best_temperature(left, right) == pytest.approx(grid[int(np.argmin(losses))], rel=5e-3)


def test_of_moves_that_are_equal_the_shortest_is_taken_and_nothing_is_always_tried():
    tried = []

    def recall(move):
        tried.append(move)
        return 0.5 if move.residual <= 0.25 else 0.4

    assert chosen_move(recall, Move(1.0, 0.0, 0.3), ["residual", "share"]) == (NOWHERE, 0.5)
    assert len(tried) == len(set(tried)) < 40
    wanted = Move(0.5, 2.0, 0.4)
    chosen = chosen_move(
        lambda move: 1 - sum(abs(a - b) for a, b in zip(move, wanted, strict=True)),
        Move(1.0, 0.3, 0.3),
        ["residual", "linear", "share"],
    )
    assert chosen == (wanted, 1.0)
    assert chosen_move(lambda move: move.residual, Move(1.0), ["residual"]) == (Move(1.0), 1.0)
