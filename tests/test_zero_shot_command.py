"""Classification by prompts, from folders of pictures to a report, with encoders of one's own."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from latent_samples import pair_set, write_store
from PIL import Image

from fusemix.cli.called import run_command
from fusemix.errors import ConfigError, LatentStoreError, OutputError, RunError
from fusemix.interfaces import Rejected
from fusemix.latents.set_writer import write_set
from fusemix.latents.sets import LatentSet
from fusemix.retrieval.zero_shot import DEFINITIONS
from fusemix.wiring.evaluation.zero_shot import labels_of

COLOURS = {
    "red": (230, 20, 20),
    "green": (20, 200, 20),
    "blue": (20, 20, 230),
    "yellow": (230, 220, 20),
    "black": (10, 10, 10),
    "purple": (140, 20, 160),
    "sky_blue": (120, 190, 240),
}
OWN_ENCODERS = f"""
import numpy as np, torch

COLOURS = {COLOURS!r}

class Picture:
    modality, dim, sample_rate, fingerprint = "image", 3, None, {{"family": "mean colour"}}
    def to(self, device): return self
    def prepare(self, contents): return [np.asarray(p, dtype=np.float32).mean(axis=(0, 1)) / 128 - 1 for p in contents]
    def length(self, prepared): return 1
    def collate(self, prepared): return torch.from_numpy(np.stack(prepared))
    def encode(self, batch): return batch

class Word(Picture):
    modality, fingerprint = "text", {{"family": "named colour"}}
    def prepare(self, contents): return [self.colour(text) for text in contents]
    def colour(self, text):
        found = [c for name, c in COLOURS.items() if name.replace("_", " ") in text]
        noise = np.random.default_rng(len(text)).normal(0, 0.02, 3).astype(np.float32)
        return np.array(found[-1], dtype=np.float32) / 128 - 1 + noise

class Letters(Word):
    dim, fingerprint = 26, {{"family": "letters"}}
    def colour(self, text):
        return np.array([text.count(letter) for letter in "abcdefghijklmnopqrstuvwxyz"], dtype=np.float32)

def picture(): return Picture()
def word(): return Word()
def letters(): return Letters()
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A folder of pictures in one subfolder a colour, and a module with encoders."""
    folder = tmp_path_factory.mktemp("world")
    generator = np.random.default_rng(0)
    for split, count in (("train", 10), ("test", 6)):
        for name, colour in COLOURS.items():
            (folder / "pictures" / split / name).mkdir(parents=True)
            for number in range(count):
                shade = np.clip(np.array(colour) + generator.normal(0, 25, 3), 0, 255).astype(np.uint8)
                pixels = np.broadcast_to(shade, (8, 8, 3))
                Image.fromarray(pixels.copy()).save(folder / "pictures" / split / name / f"{number}.png")
    (folder / "pictures" / "test" / "red" / "broken.png").write_bytes(b"no picture")
    (folder / "pictures" / "test" / "unseen").mkdir()
    (folder / "own_words.py").write_text(OWN_ENCODERS)
    return folder


@pytest.fixture(autouse=True)
def _own_encoders_can_be_imported(world, monkeypatch):
    monkeypatch.syspath_prepend(world)


def cache(world: Path, out: Path, *changes: str) -> list[str]:
    return [
        "dataset.name=image_classes",
        f"dataset.options.folder={world / 'pictures'}",
        "dataset.options.templates=['a {} thing.', '{}!']",
        "dataset.options.class_names={unseen: dark red}",
        "splits=[test]",
        "encoders.picture.name=own_words:picture",
        "encoders.word.name=own_words:word",
        "encoders.letters.name=own_words:letters",
        "num_workers=0",
        f"out={out}",
        *changes,
    ]


@pytest.fixture(scope="module")
def latents(world, tmp_path_factory):
    folder = tmp_path_factory.mktemp("latents")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(world)
        run_command("cache_features", cache(world, folder))
        run_command("cache_features", cache(world, folder, "splits=[train]", "dataset.options.class_names=null"))
    return folder


@pytest.fixture(scope="module")
def run(latents, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "colours"
    settings = {
        "train": latents / "train",
        "holdout": 0.2,
        "encoders": "{image: [picture], text: [letters]}",
        "embedding_dim": 8,
        "adapter.options": "{num_blocks: 1, dropout: 0.0}",
        "mixup.name": "none",
        "optim": "{batch_size: 4, max_epochs: 12, warmup_steps: 5, validate_every: 6, lr: 0.003}",
        "compute": "cpu",
        "out": folder,
    }
    run_command("train", [f"{key}={value}" for key, value in settings.items()])
    return folder


def without_run(latents: Path, out: Path, *changes: str) -> list[str]:
    encoders = "encoders={image: [picture], text: [word]}"
    return [encoders, f"latents={latents / 'test'}", f"out={out}", "compute.accelerator=cpu", *changes]


def test_latents_that_share_a_space_are_compared_without_a_run(latents, tmp_path, capsys):
    report_file = run_command("eval_zero_shot", without_run(latents, tmp_path / "report"))
    report = json.loads(report_file.read_text())
    assert (report["format"], report["version"]) == ("fusemix.zero_shot_report", 1)
    assert report["metrics"]["top_1"] > 0.6 > 3 * report["chance"]["top_1"]
    counts = {"items": 42, "classes": 8, "classes_without_items": 1, "draws": 1000}
    assert counts.items() <= report["counts"].items()
    assert report["definitions"] == DEFINITIONS
    assert report["model"] == {"run": None, "encoders": {"image": ["picture"], "text": ["word"]}}
    assert report["data"]["templates"] == ["a {} thing.", "{}!"]
    assert report["data"]["num_unusable"] == 2  # the broken picture, and the class without any
    for name, (low, high) in report["intervals"].items():
        assert 0 <= low <= report["metrics"][name] <= high <= 1
    printed = capsys.readouterr().out
    assert "Zero-shot classification on image_classes/test" in printed
    assert "42 items, 8 classes (1 of them without items), 2 template(s) a class" in printed


def test_figures_are_those_of_a_classifier_written_out_by_hand(latents, tmp_path):
    report = json.loads(run_command("eval_zero_shot", without_run(latents, tmp_path / "report")).read_text())
    pictures = np.load(latents / "test/image/picture/latents-00000.npy").astype(np.float64)
    prompts = np.load(latents / "test/text/word/latents-00000.npy").astype(np.float64)
    classes = sorted([*COLOURS, "unseen"])
    prompts /= np.linalg.norm(prompts, axis=1, keepdims=True)
    centres = prompts.reshape(len(classes), 2, 3).mean(axis=1)
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    own = np.array(
        [place for place, name in enumerate(classes) if name != "unseen" for _ in range(6 + (name == "red"))]
    )
    kept = np.isfinite(pictures).all(axis=1)
    right = (pictures[kept] @ centres.T).argmax(axis=1) == own[kept]
    assert report["metrics"]["top_1"] == pytest.approx(right.mean())
    for place, name in enumerate(classes):
        found = report["per_class"][place]
        assert found["class"] == name
        expected = None if name == "unseen" else pytest.approx(right[own[kept] == place].mean())
        assert found["top_1"] == expected
    assert sum(found["items"] for found in report["confusions"]) == (~right).sum()


def test_the_report_shows_classes_by_their_words(latents, tmp_path, capsys):
    run_command("eval_zero_shot", without_run(latents, tmp_path / "report"))
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    assert {found["class"]: found["words"] for found in report["per_class"]}["unseen"] == "dark red"
    text = (tmp_path / "report" / "report.md").read_text()
    assert "| top-1 |" in text
    assert "## Most confused" in text
    assert "model: none; the encoders' latents were compared as they are" in text
    assert Image.open(tmp_path / "report" / "classes.png").width > 400
    page = (tmp_path / "report" / "report.html").read_text()
    assert "<title>no run on image_classes/test · zero-shot</title>" in page
    assert f">{100 * report['metrics']['top_1']:.1f}<" in page
    assert "<img data-medium" in page, "items are shown"
    assert "can only be shown by their ids" not in capsys.readouterr().out, (
        "a class that is called as it is written can be"
    )
    for found in report["per_class"]:
        assert (f'<th scope="row">{found["words"]}</th>' in page) == bool(found["items"])


def test_a_trained_run_classifies_far_above_chance(latents, run, tmp_path):
    arguments = [f"model={run}", f"latents={latents / 'test'}", f"out={tmp_path / 'report'}", "compute.accelerator=cpu"]
    report = json.loads(run_command("eval_zero_shot", arguments).read_text())
    assert report["metrics"]["top_1"] > 0.5 > 3 * report["chance"]["top_1"]
    assert report["model"]["train"] == "image_classes/train"
    assert report["data"]["encoders"] == {"image": ["picture"], "text": ["letters"]}
    assert f"model: {run}, best checkpoint" in (tmp_path / "report" / "report.md").read_text()


def test_several_encoders_give_the_mean_of_their_cosines(latents, tmp_path):
    one = json.loads(run_command("eval_zero_shot", without_run(latents, tmp_path / "one")).read_text())
    twice = "encoders={image: [picture, picture], text: [word, word]}"
    two = json.loads(run_command("eval_zero_shot", without_run(latents, tmp_path / "two", twice)).read_text())
    assert two["metrics"] == pytest.approx(one["metrics"], abs=1e-6)


def test_latents_of_different_widths_share_no_space(latents, tmp_path):
    other = "encoders={image: [picture], text: [letters]}"
    with pytest.raises(
        ConfigError, match=r"widths of .*test differ: image \[3\], text \[26\]\. Name encoders that share"
    ):
        run_command("eval_zero_shot", without_run(latents, tmp_path / "report", other))


def labelled(folder: Path, links: list[tuple[int, int]], classes: list[str], rejected: tuple[Rejected, ...] = ()):
    """A latent set with a prompt a class, opened."""
    pairs = pair_set(np.array(links))
    table = pairs.right.table.append_column("class", [classes])
    pairs = replace(pairs, right=replace(pairs.right, table=table))
    write_set(folder, pairs, {"name": "made_up.module:factory", "options": {}})
    for items, slug in zip(pairs.sides, ("eyes", "words"), strict=True):
        mine = rejected if items.modality == "text" else ()
        write_store(folder, items, slug, np.eye(len(items), 3, dtype=np.float32), mine)
    return LatentSet(folder, {"image": ["eyes"], "text": ["words"]})


def test_labels_are_read_out_of_links(tmp_path):
    links = [(0, 2), (1, 0), (1, 1), (3, 2)]
    found = labels_of(labelled(tmp_path / "set", links, ["a", "a", "b"]))
    assert found.items.tolist() == [0, 1, 3]
    assert found.class_of_item.tolist() == [1, 0, 1]
    assert found.class_of_prompt.tolist() == [0, 0, 1]
    assert found.classes == found.words == ["a", "b"]


def test_a_set_without_classes_is_refused_with_what_to_do(make_set):
    latent_set = LatentSet(make_set("plain"), {"image": ["eyes"], "text": ["words"]})
    with pytest.raises(LatentStoreError, match=r"text items have no column 'class'.*Cache a labelled .*image_classes"):
        labels_of(latent_set)


def test_a_set_of_one_class_is_refused(tmp_path):
    with pytest.raises(LatentStoreError, match="has one class only, 'a'; there is nothing to tell it from"):
        labels_of(labelled(tmp_path / "set", [(0, 0), (1, 1)], ["a", "a"]))


def test_items_of_several_classes_are_refused(tmp_path):
    links = [(0, 0), (1, 1), (1, 2), (2, 1), (3, 0), (3, 1)]
    with pytest.raises(
        LatentStoreError, match="'picture-1' is linked with prompts of several classes, and so are 1 more"
    ):
        labels_of(labelled(tmp_path / "set", links, ["a", "b", "c"]))


def test_a_class_whose_prompts_all_failed_is_named(tmp_path):
    rejected = (Rejected("text-1", "encode", "NaN"),)
    with pytest.raises(LatentStoreError, match="1 classes have no prompt with latents, such as 'b'. See quarantine"):
        labels_of(labelled(tmp_path / "set", [(0, 0), (1, 1), (2, 2)], ["a", "b", "c"], rejected))


def test_a_run_that_is_not_there_is_named(latents, tmp_path):
    with pytest.raises(RunError, match="there is no checkpoint .*best.ckpt"):
        run_command(
            "eval_zero_shot", [f"model={tmp_path}", f"latents={latents / 'test'}", "out=o", "compute.accelerator=cpu"]
        )


def test_a_picture_of_somebody_else_is_not_written_over(latents, tmp_path):
    (tmp_path / "classes.png").write_text("mine")
    with pytest.raises(OutputError, match=r"holds classes\.png, which would be written over"):
        run_command("eval_zero_shot", without_run(latents, tmp_path))
    assert (tmp_path / "classes.png").read_text() == "mine"
