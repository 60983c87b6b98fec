"""Hubs of a run: kept when it ends, beside plain figures in evaluation, in exports, in `similarity`."""

import shutil

import numpy as np
import pytest
import torch
from evaluation_world import evaluated, settings
from hub_samples import LEVELS, STRENGTHS, naive, with_hubs

import fusemix
from fusemix.cli.called import run_command
from fusemix.errors import ConfigError, RunError
from fusemix.fusion.checkpoints import HUBS
from fusemix.models.hubs import Hubs, read_hubs, write_hubs
from fusemix.models.trained import open_trained
from fusemix.retrieval.hub_correction import Strength
from fusemix.wiring.training.hubs import levels_of, siblings


def test_a_run_keeps_a_bank_of_each_modality_and_strengths_of_every_direction(evaluation_world):
    hubs = open_trained(evaluation_world.run).hubs
    model = open_trained(evaluation_world.run).model
    assert {name: bank.shape for name, bank in hubs.banks.items()} == {"image": (200, 8), "text": (600, 8)}
    assert all(bank.dtype == torch.float16 for bank in hubs.banks.values())
    assert set(hubs.strengths) == {"image_to_text", "text_to_image", "text_to_text"}  # no two captions, one picture
    assert set(hubs.levels) == set(LEVELS)
    latents = fusemix.LatentSet(evaluation_world.sets / "train", {"image": ["eyes"], "text": ["words"]}).numpy()
    with torch.inference_mode():
        wanted = model.embed("image", torch.from_numpy(latents.left)).half()
    assert {tuple(row) for row in hubs.banks["image"].tolist()} == {tuple(row) for row in wanted.tolist()}


def test_the_last_epoch_knows_nothing_of_hubs(evaluation_world):
    assert open_trained(evaluation_world.run, "last").hubs is None


def test_evaluation_shows_them_in_a_row_and_in_the_headline_where_that_is_asked_for(evaluation_world, tmp_path):
    world = evaluation_world._replace(run=with_hubs(evaluation_world.run, tmp_path / "run"))
    plain = evaluated(world, tmp_path / "plain")
    row = next(one for one in plain["others"] if one["name"] == "hub constants")
    assert "alpha 0.7, beta 20" in row["about"] and plain["is_corrected"] is False
    asked = evaluated(world, tmp_path / "corrected", "hub_correction=true")
    assert asked["metrics"] == pytest.approx(row["metrics"])
    (other,) = [one for one in asked["others"] if one["kind"] == "correction"]
    assert other["metrics"] == pytest.approx(plain["metrics"])
    for name in ("report.md", "report.html"):
        assert "hubs corrected" in (tmp_path / "corrected" / name).read_text()
        assert "hubs corrected" not in (tmp_path / "plain" / name).read_text()


def test_a_run_without_hubs_is_measured_plainly_and_refuses_a_corrected_headline(evaluation_world, tmp_path):
    shutil.copytree(evaluation_world.run, tmp_path / "run", ignore=shutil.ignore_patterns(HUBS))
    world = evaluation_world._replace(run=tmp_path / "run")
    assert "hub constants" not in [one["name"] for one in evaluated(world, tmp_path / "report")["others"]]
    with pytest.raises(ConfigError, match=r"hub_correction=true, but the hubs of .* are not known"):
        run_command("eval_retrieval", settings(world, tmp_path / "other", "hub_correction=true"))


def test_a_bank_of_another_model_is_refused_in_one_message(evaluation_world, tmp_path):
    run = with_hubs(evaluation_world.run, tmp_path / "run")
    hubs = open_trained(run).hubs
    write_hubs(run / HUBS, hubs, "0" * 64)
    with pytest.raises(RunError, match=r"hubs\.safetensors is a bank of another model .* Delete it"):
        fusemix.load(run, device="cpu")


@pytest.mark.parametrize("content", [b"", b"something else", b"\x08\x00\x00\x00\x00\x00\x00\x00{}      "])
def test_a_damaged_file_is_refused_in_one_message(evaluation_world, tmp_path, content):
    run = with_hubs(evaluation_world.run, tmp_path / "run")
    (run / HUBS).write_bytes(content)
    with pytest.raises(RunError, match=r"hubs\.safetensors is (damaged|of another version).* Delete it"):
        open_trained(run)


@pytest.mark.parametrize(
    "hubs",
    [
        Hubs({"image": torch.ones(3, 8).half()}, {}, {}, {}),  # longer than unit vectors
        Hubs({"image": torch.full((3, 8), torch.nan).half()}, {}, {}, {}),
        Hubs({"image": torch.zeros(3, 7).half()}, {}, {}, {}),
        Hubs({"image": torch.zeros(3, 8).half()}, {"text_to_image": Strength(1.0, 10.0)}, {}, {}),
        Hubs({"image": torch.zeros(3, 8).half()}, {"image_to_text": Strength(1.0, 1e9)}, {}, {}),
        Hubs({"image": torch.zeros(3, 8).half()}, {"image_to_text": Strength(float("nan"), 10.0)}, {}, {}),
        Hubs({"image": torch.zeros(3, 8).half()}, {}, {"image_to_text": 1e9}, {}),
    ],
)
def test_what_somebody_hostile_wrote_is_refused(tmp_path, hubs):
    write_hubs(tmp_path / HUBS, hubs, "a")
    with pytest.raises(RunError, match="is damaged"):
        read_hubs(tmp_path / HUBS, "a", 8)


def test_they_travel_with_an_export(evaluation_world, tmp_path):
    run = with_hubs(evaluation_world.run, tmp_path / "run")
    run_command("export", ["--model", str(run), "--out", str(tmp_path / "export")])
    there, here = open_trained(tmp_path / "export").hubs, open_trained(run).hubs
    assert (there.strengths, there.levels) == (here.strengths, here.levels)
    for modality, bank in here.banks.items():
        assert torch.equal(there.banks[modality], bank)


def test_similarity_takes_constants_where_modalities_are_named(evaluation_world, tmp_path):
    model = fusemix.load(with_hubs(evaluation_world.run, tmp_path / "run"), device="cpu")
    images = np.random.default_rng(0).standard_normal((5, 12)).astype(np.float32)
    pictures = model.encode(images=images)
    texts = model.encode(texts=np.random.default_rng(1).standard_normal((4, 8)).astype(np.float32))
    plain = model.similarity(texts, pictures)
    taken = naive(model.embedder.trained.hubs.banks["text"], pictures, STRENGTHS["text_to_image"])
    found = model.similarity(texts, pictures, queries="text", gallery="image")
    np.testing.assert_allclose(found, plain - taken, atol=2e-5)
    off = model.similarity(texts, pictures, queries="text", gallery="image", hub_correction=False)
    np.testing.assert_array_equal(off, plain)
    with pytest.raises(ConfigError, match="name both modalities"):
        model.similarity(texts, pictures, gallery="image")


def test_a_modality_of_one_item_has_no_height_of_its_own():
    banks = {"image": torch.nn.functional.normalize(torch.ones(3, 4), dim=1), "text": torch.ones(1, 4) / 2}
    levels = levels_of(Hubs(banks, {}, {}, {}), torch.device("cpu"))
    assert all(np.isfinite(level) for level in levels.values()) and set(levels) == set(LEVELS)


def test_siblings_are_items_of_one_partner():
    links = np.array([[0, 0], [0, 1], [1, 2], [2, 3], [2, 4], [2, 5], [1, 0]])
    asking, given, pairs = siblings(links)
    assert (asking.tolist(), given.tolist(), pairs.tolist()) == ([0, 3], [1, 4, 5], [[0, 0], [1, 1], [1, 2]])
