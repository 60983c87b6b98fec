"""A run on latents that were imported is indexed and searched from the shell, once its encoders are named."""

import json
import re
import shlex
import shutil
import sys

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel

import fusemix
from fusemix.cli import run as cli
from fusemix.cli.called import run_command
from fusemix.disk.files import read_json
from fusemix.errors import ConfigError, RunError
from fusemix.latents.sets import LatentSet
from fusemix.search.folder import Index

GIVEN = {"image": ["given"], "text": ["given"]}


@pytest.fixture(scope="module")
def imported(tiny, tmp_path_factory):
    """A set whose latents came from files, the run that was trained on it, and what made the files."""
    folder = tmp_path_factory.mktemp("imported")
    shutil.copytree(tiny.latents / "pictures" / "all", folder / "set")
    both = LatentSet(folder / "set", {"image": ["vit"], "text": ["bert"]})
    for side in both.sides:
        np.save(folder / "latents.npy", side.take(np.arange(len(side))))
        (folder / "ids.txt").write_text("\n".join(side.table["id"].to_pylist()))
        where = [f"vectors={folder / 'latents.npy'}", f"ids={folder / 'ids.txt'}", "name=given", "made_by=a note"]
        run_command("import", [f"latents={folder / 'set'}", f"modality={side.modality}", *where])
    quick = ["embedding_dim=8", "optim={batch_size: 8, max_epochs: 1, warmup_steps: 1}", "compute.accelerator=cpu"]
    encoders = "encoders={image: [given], text: [given]}"
    run_command("train", [f"train={folder / 'set'}", "holdout=0.2", encoders, f"out={folder / 'run'}", *quick])
    return folder


@pytest.fixture
def bert(tiny):
    return tiny.recipes["bert"]


def indexing(imported, out, *more):
    return run_command(
        "index",
        [f"model={imported / 'run'}", f"latents={imported / 'set'}", f"out={out}", "compute.accelerator=cpu", *more],
    )


def text_encoder(recipe):
    """By the name of its latents, which those of the pictures have, too: the encoder itself says whose it is."""
    return [f"encoders.given.name={recipe['name']}", f"encoders.given.options.model={recipe['options']['model']}"]


def found_by(out, *query):
    return [
        hit.id
        for hit in run_command("search", [*query, "--index", str(out), "--compute.accelerator", "cpu", "--k", "3"])
    ]


def test_a_set_of_imported_latents_is_indexed_without_any_encoder(imported, tmp_path):
    out = indexing(imported, tmp_path / "index")
    item = "image_captions/all/image/05.png"
    assert found_by(out, "--like", item)[0] == item


def test_words_find_pictures_once_the_text_encoder_is_named_with_the_index(imported, bert, tmp_path):
    out = indexing(imported, tmp_path / "index", *text_encoder(bert))
    model = fusemix.load(imported / "run", encoders={"given": bert}, device="cpu")
    latents = LatentSet(imported / "set", GIVEN).left
    pictures = model.embedder.adapted("image", latents.take(np.arange(len(latents))).astype(np.float32))
    (scores,) = model.similarity(model.encode(texts="a red bar"), pictures, queries="text", gallery="image")
    best = np.argsort(-scores)[:3]
    wanted = [f"image_captions/all/image/{latents.table['id'][int(row)].as_py()}" for row in best]
    assert found_by(out, "a red bar") == wanted


def test_the_command_that_a_search_names_is_the_one_that_makes_it_work(imported, bert, tmp_path, monkeypatch, capsys):
    out = indexing(imported, tmp_path / "index")
    with pytest.raises(RunError, match="nothing says what builds it") as refusal:
        found_by(out, "a red bar")
    command = re.search(r"fusemix index .*", str(refusal.value))[0]
    command = command.replace("transformers_…", bert["name"]).replace("model: …", f"model: {bert['options']['model']}")
    before = {path: path.read_bytes() for path in out.glob("items.lance/**/*") if path.is_file()}
    words = shlex.split(command)
    monkeypatch.setattr(sys, "argv", words)
    cli.run()
    assert "nothing new" in capsys.readouterr().out
    assert {path: path.read_bytes() for path in out.glob("items.lance/**/*") if path.is_file()} == before
    assert len(found_by(out, "a red bar")) == 3


def test_a_folder_of_pictures_wants_the_encoder_named_as_a_setting_that_index_has(imported, tiny, tmp_path):
    arguments = [f"--model={imported / 'run'}", f"--data={tiny.files['image'][0].parent}", f"--out={tmp_path / 'i'}"]
    with pytest.raises(RunError, match="nothing says what builds it") as refusal:
        run_command("index", arguments)
    (setting,) = shlex.split(re.search(r"as a setting: (.*)", str(refusal.value))[1])
    vit = json.dumps(tiny.recipes["vit"])
    setting = re.sub(r"\{name: transformers_….*?\}\}", lambda found: vit, setting)
    out = run_command("index", [*arguments, setting, "compute.accelerator=cpu", "num_workers=0"])
    assert Index(out).num_items == len(tiny.files["image"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "transformers_image"}, "pictures|image|cannot be loaded|gives"),
        (
            {"options": {"model": "other"}},
            r"encoders.text/given is not the encoder whose latents were imported: of 8 items",
        ),
        ({"options": {"model": "wide"}}, r"encoder 1 gives 48 numbers, and the latents that were imported have 32"),
    ],
)
def test_another_encoder_is_refused_before_anything_is_written(imported, bert, tmp_path, changes, message):
    source = {**bert, **changes}
    if "options" in changes:
        shutil.copytree(bert["options"]["model"], tmp_path / "model")
        wide = {"hidden_size": 48} if changes["options"]["model"] == "wide" else {}
        config = BertConfig.from_pretrained(tmp_path / "model", **wide)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            BertModel(config).save_pretrained(tmp_path / "model")
        source = {**bert, "options": {"model": str(tmp_path / "model")}}
    with pytest.raises((RunError, ConfigError), match=message):
        indexing(imported, tmp_path / "index", *text_encoder(source))
    assert not (tmp_path / "index" / "index.json").exists()


def test_what_an_index_notes_runs_no_code_that_is_not_trusted(imported, bert, tmp_path):
    out = indexing(imported, tmp_path / "index", *text_encoder(bert))
    about = read_json(out / "index.json")
    about.pop("sha256")
    about["model"]["encoders"]["text"][0]["name"] = "os.path:join"
    (out / "index.json").write_text(json.dumps(about))
    with pytest.raises(RunError, match=r"os\.path:join, .* Nothing of it was run"):
        found_by(out, "a red bar")
    about["model"]["encoders"]["text"] = [3]
    (out / "index.json").write_text(json.dumps(about))
    with pytest.raises(fusemix.errors.IndexFolderError, match="is damaged"):
        found_by(out, "a red bar")


def test_a_model_that_was_named_by_a_relative_path_is_found_from_elsewhere(imported, bert, tmp_path, monkeypatch):
    models = tmp_path / "here" / "models"
    shutil.copytree(bert["options"]["model"], models / "bert")
    monkeypatch.chdir(tmp_path / "here")
    out = indexing(imported, tmp_path / "index", *text_encoder({**bert, "options": {"model": "models/bert"}}))
    monkeypatch.chdir(tmp_path)
    assert len(found_by(out, "a red bar")) == 3


def test_a_run_on_imported_latents_is_exported_with_encoders_that_are_named(imported, bert, tmp_path):
    encoders = f"encoders={{given: {json.dumps(bert)}}}"
    run_command("export", [f"model={imported / 'run'}", f"out={tmp_path / 'export'}", encoders])
    by_run = fusemix.load(imported / "run", encoders={"given": bert}, device="cpu").encode(texts="a red bar")
    np.testing.assert_array_equal(fusemix.load(tmp_path / "export", device="cpu").encode(texts="a red bar"), by_run)
