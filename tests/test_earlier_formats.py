"""What an earlier fusemix has written is read, used and gone on with; earlier/README.md says how it was made.

Figures are compared with those that were written down then. Nothing here lies where it lay then.
"""

import ast
import csv
import json
import tarfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

import fusemix
from fusemix.cli.called import run_command
from fusemix.datasets import DATASETS
from fusemix.latents.sets import LatentSet

MADE = Path(__file__).parent / "earlier" / "made.tar.gz"
MODEL, ON_CPU, DEVICE = "model", "compute.accelerator=cpu", "compute.accelerator=cpu"
"""Settings as they are called now."""
BOTH = {"image": ["hog"], "text": ["bert"]}
TRAINING = [
    "encoders={image: [hog], text: [bert]}",
    "holdout=0.25",
    "embedding_dim=8",
    "preprocess=standardise",
    "adapter={name: residual_mlp, options: {num_blocks: 1, expansion: 1}}",
    "mixup=none",
    "optim={batch_size: 6, max_epochs: 12, warmup_steps: 2, lr: 0.02}",
    ON_CPU,
]
"""As the run was trained."""
CLOSE = {"abs": 1e-6}
"""Figures of ranks, which other processors do not change: no two scores of a query are nearer than 0.0009."""


def command(name: str, *arguments: str) -> Any:
    return run_command(name, arguments)


@pytest.fixture
def earlier(tmp_path, monkeypatch) -> Path:
    """The folder that all was made in, elsewhere; paths that were relative are so again."""
    with tarfile.open(MADE) as archive:
        archive.extractall(tmp_path, filter="data")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def read(path: str | Path) -> Any:
    return json.loads(Path(path).read_text())


def fit(out: str, *changes: str) -> None:
    command("train", "train=latents/pictures/train", f"out={out}", *TRAINING, *changes)


def evaluate(model: str, latents: str, out: str, *changes: str) -> dict[str, Any]:
    arguments = [f"{MODEL}={model}", f"latents={latents}", f"out={out}", "ks=[1,5]", ON_CPU]
    return read(command("eval_retrieval", *arguments, *changes))


def test_every_file_is_still_what_was_written(earlier):
    command("verify", "latents/pictures", "latents/classes", "latents/imported", "latents/imported_before")
    command("verify", "runs/pictures", "runs/imported", "exports/pictures")


def test_a_set_gives_the_latents_items_and_links_that_were_exported_then(earlier):
    latent_set = LatentSet(Path("latents/pictures/test"), BOTH)
    table = pq.read_table("exports/embeddings/metadata/metadata_0.parquet")
    for side, name, rows in zip(latent_set.sides, ("img", "text"), latent_set.links.T, strict=True):
        latents = side.take(rows).astype(np.float64)
        exported = np.load(f"exports/embeddings/{name}_emb/{name}_emb_0.npy")
        np.testing.assert_allclose(exported, latents / np.linalg.norm(latents, axis=1, keepdims=True), atol=1e-3)
    left, right = (side.table.take(rows) for side, rows in zip(latent_set.sides, latent_set.links.T, strict=True))
    assert left["id"].to_pylist() == table["image_id"].to_pylist()
    assert right["caption"].to_pylist() == table["caption"].to_pylist()


def test_a_run_is_measured_again_in_the_folder_of_its_report_with_the_same_figures(earlier):
    folder = "reports/pictures_last"
    then = read(f"{folder}/report.json")
    now = evaluate("runs/pictures", "latents/pictures/test", folder, "checkpoint=last", "num_examples=0")
    assert now["metrics"] == pytest.approx(then["metrics"], **CLOSE)
    assert now["intervals"].keys() == then["intervals"].keys()
    assert (now["counts"], now["data"]) == (then["counts"], then["data"])
    assert [(one["set"], one["use"]) for one in now["seen"]] == [(one["set"], one["use"]) for one in then["seen"]]


def test_reports_are_compared_again_in_the_folder_of_their_comparison(earlier):
    (then,) = read("reports/comparison/compare.json")["comparisons"]
    (now,) = read(command("compare", "reports/pictures", "reports/pictures_last", "out=reports/comparison"))[
        "comparisons"
    ]
    assert now["is_comparable"] and now["run"] == then["run"] == "pictures_last"
    assert now["differences"].keys() == then["differences"].keys()
    for figure, about in now["differences"].items():
        for key, value in about.items():
            assert value == pytest.approx(then["differences"][figure][key], **CLOSE), (figure, key)


def test_reports_become_a_table(earlier, capsys):
    command("report", "--format", "markdown", "reports/pictures", "reports/pictures_last")
    said = capsys.readouterr().out
    assert "| pictures |" in said and "| pictures_last |" in said


def test_classes_are_recognised_as_then(earlier):
    then = read("reports/classes/report.json")
    model = [f"{MODEL}=runs/pictures", "latents=latents/classes/all", DEVICE]
    now = read(command("eval_zero_shot", *model, "out=reports/classes"))
    assert now["metrics"] == pytest.approx(then["metrics"], **CLOSE)


def test_a_run_that_was_trained_is_known_and_given_more_epochs(earlier):
    last = Path("runs/pictures/checkpoints/last.ckpt")
    before = last.read_bytes()
    fit("runs/pictures")
    assert last.read_bytes() == before
    with Path("runs/pictures/metrics.csv").open() as file:
        then = list(csv.DictReader(file))
    fit("runs/pictures", "optim.max_epochs=14")
    with Path("runs/pictures/metrics.csv").open() as file:
        now = list(csv.DictReader(file))
    assert now[: len(then)] == then
    assert {row["epoch"] for row in now} - {row["epoch"] for row in then} == {"12", "13"}


def test_a_new_run_begins_with_the_weights_of_then_and_notes_what_they_had_learned_from(earlier):
    fit("runs/new", "optim.max_epochs=1", "optim.lr=1e-9", "optim.min_lr=1e-9", "init_from=runs/pictures")
    noted = [entry for entry in read("runs/new/data.json") if entry.get("inherited")]
    assert [{**entry, "inherited": True} for entry in read("runs/pictures/data.json")] == noted
    old, new = (fusemix.load(run, device="cpu") for run in ("runs/pictures", "runs/new"))
    assert old.embedder.trained.model.rotation is None, "vectors of then stay as they are"
    turn = np.asarray(new.embedder.trained.model.rotation)
    before, after = (np.asarray(model.encode(texts="a red bar")) for model in (old, new))
    np.testing.assert_allclose(after, before @ turn, atol=1e-4)


def test_an_index_is_taken_over_searched_and_added_to(earlier, capsys):
    then = read("searches.json")["results"]
    command("upgrade_index", "indexes/pictures")
    command("verify", "indexes/pictures")
    bert = "encoders.bert={name: transformers_text, options: {model: models/bert, pooling: mean}}"  # it has moved
    adding = ["model=runs/pictures", bert, DEVICE, "out=indexes/pictures"]
    command("index", "latents=latents/pictures/train", *adding)
    assert "nothing new" in capsys.readouterr().out
    hits = command("search", "a red square", "index=indexes/pictures", DEVICE, "k=5")
    assert [hit.id for hit in hits] == [one["id"] for one in then]
    assert [hit.score for hit in hits] == pytest.approx([one["score"] for one in then], abs=1e-4)
    command("index", "latents=latents/pictures/test", *adding)
    new = "image_captions/test/image/square/a-green.png"
    assert command("search", "--like", new, "index=indexes/pictures", DEVICE)[0].id == new


@pytest.mark.parametrize("model", ["exports/pictures", "runs/pictures"])
def test_a_model_gives_the_vectors_of_then(model, earlier):
    captions = pq.read_table("exports/aligned/metadata/metadata_0.parquet")["caption"].to_pylist()
    found = np.asarray(fusemix.load(model, device="cpu").encode(texts=captions))
    np.testing.assert_allclose(found, np.load("exports/aligned/text_emb/text_emb_0.npy"), atol=1e-3)


def test_the_class_that_an_export_names_for_sentence_transformers_is_where_it_was(earlier):
    (module,) = read("exports/pictures/modules.json")
    place, _, name = module["type"].rpartition(".")
    found = find_spec(place)
    assert found and found.origin
    assert name in {getattr(node, "name", None) for node in ast.parse(Path(found.origin).read_bytes()).body}


BEFORE = "fusemix.build.import_latents:clip_retrieval_pairs"


@pytest.mark.parametrize("name", [BEFORE, "fusemix.build.import_latents:clip_retrieval", "clip_retrieval"])
def test_an_imported_set_finds_its_pictures_by_each_name_that_its_data_set_has_had(name, earlier):
    path = Path("latents/imported_before/test/set.json")
    path.write_text(path.read_text().replace(BEFORE, name))
    source = read(path)["source"]
    assert source["name"] == name and DATASETS.is_own(name)
    pairs = DATASETS.build(name, source["options"], split="test")
    assert pairs.left.read(0) == Path("data/pictures/square/a-green.png").read_bytes()


def test_a_set_that_names_its_data_set_by_a_module_is_measured_and_its_pictures_shown(earlier):
    assert BEFORE in Path("latents/imported_before/test/set.json").read_text()
    then = read("reports/imported/report.json")
    now = evaluate("runs/imported", "latents/imported_before/test", "reports/imported", "num_examples=1")
    assert now["metrics"] == pytest.approx(then["metrics"], **CLOSE)
    assert "data:image/jpeg;base64," in Path("reports/imported/report.html").read_text()


@pytest.mark.parametrize("name", ["imported", "imported_before"])
def test_an_import_of_the_same_files_writes_nothing(name, earlier, capsys):
    same = ["clip_retrieval=exports/embeddings", "dataset=back", "split=test", "made_by={model: hog}"]
    command("import", *same, f"out=latents/{name}")
    assert capsys.readouterr().out.count("(no new)") == 2
