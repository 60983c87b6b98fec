"""What a run has learned from is known again among the items that are measured, and said before any figure."""

import json
import shutil
from pathlib import Path

import pytest
from evaluation_world import World, evaluated, write_latents
from travel.exports import train_on_made_up_latents

from fusemix.fusion.checkpoints import about, read_checkpoint
from fusemix.latents.galleries import gallery_of
from fusemix.latents.sets import LatentSet
from fusemix.models.learned import seen_before

MEMORY = "they say what the model remembers, and not how it finds what is new to it."


@pytest.fixture(scope="module")
def trained(evaluation_world) -> World:
    return evaluation_world


@pytest.fixture
def world(trained, tmp_path) -> World:
    """A copy that a test may change; the run knows the sets where they were trained on."""
    shutil.copytree(trained.run, tmp_path / "run")
    return World(tmp_path / "run", trained.sets)


def notes(run: Path, latents: Path, checkpoint: str = "best") -> list[str]:
    return [entry["note"] for entry in seen(run, latents, checkpoint) if entry["note"]]


def seen(run: Path, latents: Path, checkpoint: str = "best") -> list[dict]:
    record = about(read_checkpoint(run / "checkpoints" / f"{checkpoint}.ckpt"))
    latent_set = LatentSet(latents, record["config"]["encoders"])
    return seen_before(run, checkpoint, record, latent_set, gallery_of(latent_set).rows)


def test_items_that_were_trained_on_are_the_first_thing_that_a_report_says(trained, tmp_path, capsys):
    out = tmp_path / "report"
    report = evaluated(trained, out, test=trained.sets / "train")
    note = "200 of 200 image items and 600 of 600 text items that are measured here were trained on (made_up/train). "
    note += f"Figures are meaningless: {MEMORY}"
    assert report["seen"][0] == {
        "set": "made_up/train",
        "use": "trained on",
        "shared": {"image": [200, 200], "text": [600, 600]},
        "note": note,
    }
    assert f"{note} Retrieval on made_up/train" in " ".join(capsys.readouterr().out.split()), "above the table"
    assert (out / "report.md").read_text().splitlines()[2] == f"> **{note}**"
    page = (out / "report.html").read_text()
    assert page.index("<h1>") < page.index(note) < page.index('<ul class="headlines">')


def test_what_is_new_to_a_run_needs_no_word(trained):
    found = seen(trained.run, trained.sets / "test")
    assert [(entry["use"], entry["shared"], entry["note"]) for entry in found] == [
        (use, {"image": [0, 58], "text": [0, 180]}, "") for use in ("trained on", "chosen on")
    ]


def test_what_the_epoch_was_chosen_on_is_said_of_the_best_one_alone(trained):
    (note,) = notes(trained.run, trained.sets / "validation")
    assert note.startswith("40 of 40 image items and 120 of 120 text items that are measured here were chosen on (made")
    assert note.endswith("Figures are too good: the best epoch is the one that finds these best.")
    assert notes(trained.run, trained.sets / "validation", "last") == []


def test_a_part_of_the_training_set_under_another_name_is_counted(trained, tmp_path):
    """Of one seed, pictures of a smaller set are the first of the larger one; its captions have other latents."""
    part = write_latents(tmp_path / "news", 50, 0)
    assert notes(trained.run, part) == [
        "50 of 50 image items and 0 of 150 text items that are measured here were trained on (made_up/train). "
        f"Figures are meaningless: {MEMORY}"
    ]
    longer = write_latents(tmp_path / "longer", 250, 0)
    (note,) = notes(trained.run, longer)
    assert note.startswith("200 of 250 image items and 0 of 750 text items")
    assert "Figures are too good" in note


def test_pictures_of_the_same_names_are_others(trained, tmp_path):
    assert notes(trained.run, write_latents(tmp_path / "train", 200, 5)) == []


def test_a_training_set_that_has_moved_is_still_known_where_it_is_measured_itself(world, tmp_path):
    train_set = tmp_path / "moved"
    shutil.copytree(world.sets / "train", train_set)
    entries = json.loads((world.run / "data.json").read_text())
    for entry in entries:
        entry["folder"] = str(tmp_path / "nowhere")
    (world.run / "data.json").write_text(json.dumps(entries))
    assert notes(world.run, train_set)[0].startswith("200 of 200 image items and 600 of 600 text items")
    unknown = (
        "Whether items that are measured here were trained on cannot be known: made_up/train is not where it was when "
        "the run was trained, or holds something else by now."
    )
    assert notes(world.run, world.sets / "test") == [unknown]
    other = write_latents(tmp_path / "others", 200, 5)
    assert notes(world.run, other) == [
        "Items that are measured here bear the names of all of made_up/train, which was trained on."
    ]


@pytest.mark.parametrize("content", [None, "[", "{}", '[{"use": 1}]', '[{"use": "trained on", "set": "s", "left": 3}]'])
def test_a_run_that_does_not_say_is_told_so(world, content):
    (world.run / "data.json").unlink()
    if content is not None:
        (world.run / "data.json").write_text(content)
    found = notes(world.run, world.sets / "test")
    assert all("cannot be known" in note for note in found)
    assert len(found) == (content != '[{"use": 1}]')


def test_a_holdout_is_told_from_what_was_trained_on(make_set, tmp_path):
    run = train_on_made_up_latents(make_set, tmp_path / "run")
    trained, chosen = (entry["shared"] for entry in seen(run, make_set()))
    assert {modality: total for modality, (_, total) in trained.items()} == {"image": 128, "text": 256}
    assert 0 < chosen["image"][0] < trained["image"][0]
    for modality, (count, total) in trained.items():
        assert count + chosen[modality][0] == total, "no item is both"


def test_what_the_run_that_it_started_from_has_seen_counts_too(make_set, tmp_path):
    first = train_on_made_up_latents(make_set, tmp_path / "first")
    other = make_set("other", seed=4)
    train_on_made_up_latents(make_set, tmp_path / "second", f"train={other}", f"init_from={first}")
    shared = [(entry["use"], entry["shared"]["image"][0]) for entry in seen(tmp_path / "second", make_set())]
    own, inherited = (count for use, count in shared if use == "trained on")
    assert own == 0
    assert inherited > 64
