"""The report's table of recall by width and precision, against ranks by hand."""

from pathlib import Path

import numpy as np
import pytest
import torch
from evaluation_world import World, evaluated

from fusemix.errors import ConfigError
from fusemix.fusion.checkpoints import read_checkpoint, trained_model
from fusemix.fusion.model import FusionModel
from fusemix.latents.sets import LatentSet
from fusemix.search.precision import as_stored
from fusemix.wiring.evaluation import widths as module

KS = (1, 5, 10)


@pytest.fixture(scope="module")
def world(evaluation_world) -> World:
    return evaluation_world


def embeddings(world: World) -> list[np.ndarray]:
    """Of the items of the test set that have latents, text by text."""
    latent_set = LatentSet(world.sets / "test", {"image": ["eyes"], "text": ["words"]})
    model = trained_model(read_checkpoint(world.run / "checkpoints" / "best.ckpt"))
    with torch.inference_mode():
        return [
            model.embed(side.modality, torch.from_numpy(side.take(np.flatnonzero(side.valid)))).numpy()
            for side in latent_set.sides
        ]


def recalls(left: np.ndarray, right: np.ndarray) -> list[float]:
    """Of texts among pictures: text j belongs to picture j // 3, of which the first two have no latent."""
    scores = right.astype(np.float64) @ left.T.astype(np.float64)
    own = np.arange(len(right)) // 3 - 2
    ranks = [np.sum(row >= row[place] - 1e-6) for row, place in zip(scores, own, strict=True) if place >= 0]
    return [float(np.mean(np.array(ranks) <= k)) for k in KS]


def test_recall_by_the_first_numbers_is_that_of_ranks_by_hand(world, tmp_path):
    report = evaluated(world, tmp_path / "r", "widths=[3,8]", "num_examples=0")
    rows = report["widths"]
    assert [(row["dim"], row["precision"], row["num_bytes"]) for row in rows] == [
        (8, "float32", 32),
        (8, "int8", 8),
        (3, "float32", 12),
        (3, "int8", 3),
    ]
    for row in rows:
        cut = [side[:, : row["dim"]] for side in embeddings(world)]
        sides = [side / np.linalg.norm(side, axis=1, keepdims=True) for side in cut]
        wanted = recalls(*(as_stored(side, row["precision"]) for side in sides))
        found = [row["metrics"][f"text_to_image/recall_at_{k}"] for k in KS]
        assert found == pytest.approx(wanted, abs=1e-9), row
    for name, value in rows[0]["metrics"].items():
        assert value == pytest.approx(report["metrics"][name]), "all numbers in float32 are the model"
    assert "Fewer numbers" in (tmp_path / "r" / "report.html").read_text()


def test_widths_come_unasked_where_they_cost_little(world, tmp_path, monkeypatch):
    report = evaluated(world, tmp_path / "small", "num_examples=0")
    assert [row["dim"] for row in report["widths"]] == [8, 8], "there are no powers of two from 16 on below 8"
    assert evaluated(world, tmp_path / "none", "num_examples=0", "widths=[]")["widths"] == []
    monkeypatch.setattr(module, "MOST_SCORES", 58 * 180 - 1)
    assert evaluated(world, tmp_path / "large", "num_examples=0")["widths"] == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["widths=[9]"], r"^embeddings of .*best\.ckpt have 8 numbers, and 9 are asked for\. Give 1 to 8\.$"),
        (["widths=[4]", "checkpoint=last"], r"^4 are asked for, the first numbers .*last\.ckpt are in no order"),
        (["widths=[0]"], r"^widths must hold whole numbers from 1 upwards, not \[0\]\.$"),
        (["widths=[4,4]"], "widths"),
    ],
)
def test_widths_that_a_model_has_not_are_refused(world, tmp_path, settings, message):
    with pytest.raises(ConfigError, match=message):
        evaluated(world, tmp_path / "r", *settings)
    assert not Path(tmp_path / "r" / "report.json").exists()


@pytest.mark.parametrize(
    ("width", "is_turned", "chosen"),
    [(896, True, [896, 512, 256, 128, 64]), (64, True, [64, 32, 16]), (512, False, [512]), (12, True, [12])],
)
def test_the_widths_are_powers_of_two_from_16_on_and_five_at_most(width, is_turned, chosen):
    model = FusionModel(dims={"image": [4]}, embedding_dim=width, adapters={"image": ("linear", {})})
    if is_turned:
        model.turn(torch.eye(width))
    assert module.some_widths(model) == chosen
