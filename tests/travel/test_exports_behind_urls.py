"""Exports whose `out` is a URL: there whole or not at all, and loaded from there."""

import json
import os
import shutil
from pathlib import Path

import fsspec
import numpy as np
import pytest
import shelf
from exports import embeddings

import fusemix
from fusemix.cli.called import run_command
from fusemix.errors import ConfigError, OutputError, RemoteError, RunError, UntrustedCodeError
from fusemix.wiring.searching.searcher import Searcher


@pytest.fixture(autouse=True)
def store(shelf_folder) -> Path:
    return shelf_folder


def content(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def behind(url: str) -> dict[str, bytes]:
    system, top = fsspec.core.url_to_fs(url)
    return {name.removeprefix(top).strip("/"): system.cat_file(name) for name in system.find(top)}


def exported(tiny, out, *changes: str):
    return run_command("export", [f"model={tiny.run}", f"out={out}", *changes])


def in_a_child(arguments: list[str], **environment: str) -> int:
    """Export in a process of its own; returns its exit code."""
    child = os.fork()
    if child == 0:
        os.environ.update(environment)
        try:
            run_command("export", arguments)
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.parametrize("url", ["memory://bucket/mine", "shelf://bucket/mine"])
def test_an_export_to_a_url_is_the_export_to_a_folder_and_gives_its_vectors(
    tiny, plain, items, wanted, tmp_path, capsys, url
):
    exported(tiny, url)
    assert f'in {url}; load it with fusemix.load("{url}")' in capsys.readouterr().out
    assert behind(url) == content(plain)
    for modality, found in embeddings(url, items).items():
        np.testing.assert_array_equal(found, wanted[modality])
    assert not list((tmp_path / "cache" / "fusemix" / "sending").iterdir())


def test_what_makes_an_export_complete_is_sent_last(tiny):
    exported(tiny, "shelf://mine")
    sent = [path.removeprefix("mine/") for method, path in shelf.CALLS if method == "put"]
    assert sent[0] == "fusemix-upload.json"
    assert sent[-1] == "config.json"
    assert ("rm", "mine/fusemix-upload.json") in shelf.CALLS


@pytest.mark.parametrize("at", ["model.safetensors", "config.json"])
def test_an_upload_that_is_killed_leaves_no_export_and_the_same_command_goes_on(tiny, store, at):
    arguments = [f"model={tiny.run}", "out=shelf://mine"]
    assert in_a_child(arguments, SHELF_ENDS_AT=at) == 9
    assert "fusemix-upload.json" in content(store / "mine")
    with pytest.raises(RunError, match="shelf://mine is no exported model: there is no config.json"):
        fusemix.load("shelf://mine")
    run_command("export", arguments)
    assert fusemix.load("shelf://mine", device="cpu").modalities
    assert "fusemix-upload.json" not in content(store / "mine")


def test_an_upload_that_fails_is_told_without_secrets_and_leaves_no_export(tiny, monkeypatch):
    monkeypatch.setenv("SHELF_FULL_BEHIND", "model.safetensors")
    with pytest.raises(
        RemoteError, match="shelf://mine cannot be written: OSError: https://shelf/mine.*no room"
    ) as told:
        exported(tiny, "shelf://mine")
    assert "secret" not in str(told.value)
    assert "Signature" not in str(told.value)
    with pytest.raises(RunError):
        fusemix.load("shelf://mine")


def test_an_export_behind_a_url_is_replaced_only_where_that_is_meant_and_anything_else_never(tiny, plain, whole, store):
    shutil.copytree(whole, store / "mine")
    first = content(store / "mine")
    with pytest.raises(OutputError, match="shelf://mine holds an exported model.*overwrite=true"):
        exported(tiny, "shelf://mine")
    assert content(store / "mine") == first
    exported(tiny, "shelf://mine", "overwrite=true")
    assert set(content(store / "mine")) == set(content(plain)) < set(first)
    (store / "mine" / "diary.txt").write_text("mine")
    with pytest.raises(OutputError, match="holds what fusemix did not write there: diary.txt"):
        exported(tiny, "shelf://mine", "overwrite=true")
    (store / "other").mkdir()
    (store / "other" / "config.json").write_text("{}")
    with pytest.raises(OutputError, match="shelf://other holds something that is not an exported model"):
        exported(tiny, "shelf://other", "overwrite=true")
    assert content(store / "other") == {"config.json": b"{}"}


def test_a_model_behind_a_url_is_fetched_once_and_again_where_it_was_replaced(tiny, plain, store):
    shutil.copytree(plain, store / "mine")
    shelf.CALLS.clear()
    fusemix.load("shelf://mine", device="cpu")
    assert [path for method, path in shelf.CALLS if method == "open" and path.endswith(".safetensors")]
    shelf.CALLS.clear()
    fusemix.load("shelf://mine", device="cpu")
    assert not [path for method, path in shelf.CALLS if method in ("open", "find")]
    exported(tiny, "shelf://mine", "overwrite=true", "checkpoint=last")
    config = fusemix.load("shelf://mine", device="cpu").embedder.trained.file.with_name("config.json")
    assert json.loads(config.read_bytes())["checkpoint"] == "last"


def test_what_is_no_export_behind_a_url_is_named(tiny, store):
    (store / "run").mkdir()
    with pytest.raises(RunError, match="shelf://run is no exported model.*fusemix export model=RUN out=shelf://run"):
        fusemix.load("shelf://run")
    (store / "run" / "config.json").write_text('{"format": "other"}')
    with pytest.raises(RunError, match="shelf://run is no model that fusemix exported"):
        fusemix.load("shelf://run")
    with pytest.raises(RunError, match="revision=v1 is for models on the hub"):
        fusemix.load("shelf://run", revision="v1")
    with pytest.raises(ConfigError, match="it chains protocols"):
        fusemix.load("simplecache::file:///etc/passwd")


def test_a_run_stays_on_this_machine_and_the_message_says_what_to_do(tmp_path):
    with pytest.raises(
        ConfigError, match="model is 's3://bucket/run', but must be a path of this machine.*copy it here"
    ):
        run_command("export", ["model=s3://bucket/run", f"out={tmp_path / 'x'}"])


def test_an_index_of_a_folder_behind_a_url_by_a_model_behind_one_is_that_of_this_machine(tiny, plain, store, tmp_path):
    shutil.copytree(plain, store / "mine")
    pictures = store / "pictures"
    pictures.mkdir()
    for path in tiny.files["image"]:
        (pictures / path.name).write_bytes(path.read_bytes())
    (pictures / ".hidden.png").write_bytes(b"x")
    settings = ["compute.accelerator=cpu", "num_workers=0"]
    run_command("index", ["model=shelf://mine", "data=shelf://pictures", f"out={tmp_path / 'far'}", *settings])
    run_command("index", [f"model={tiny.run}", f"data={pictures}", f"out={tmp_path / 'near'}", *settings])
    far, near = Searcher(tmp_path / "far", device="cpu"), Searcher(tmp_path / "near", device="cpu")
    assert far.index.description.model["name"] == "shelf://mine"
    rows = np.arange(len(tiny.files["image"]))
    ids = [item["id"] for item in near.index.items(rows.tolist())]
    assert [item["id"] for item in far.index.items(rows.tolist())] == ids
    np.testing.assert_array_equal(far.index.vectors(rows.tolist()), near.index.vectors(rows.tolist()))
    assert not far.unseen
    assert far.content(0, lambda modality, raw: raw) == near.content(0, lambda modality, raw: raw)
    assert far.content(0, lambda modality, raw: raw) is not None


def test_an_index_of_a_strangers_opens_no_url_that_the_user_has_not_named(picture_index, tmp_path):
    theirs = tmp_path / "theirs"
    shutil.copytree(picture_index, theirs)
    about = json.loads((theirs / "index.json").read_bytes())
    model = about["model"]["name"]
    about["sources"][0]["path"] = "shelf://internal/pictures"
    (theirs / "index.json").write_text(json.dumps(about))
    searcher = Searcher(theirs, model, device="cpu")
    assert "shelf://internal/pictures is named by data" in searcher.unseen[0]
    assert searcher.content(0, lambda modality, raw: raw) is None
    about["model"] = {**about["model"], "name": "shelf://internal/model", "from_index": None}
    (theirs / "index.json").write_text(json.dumps(about))
    with pytest.raises(UntrustedCodeError, match="shelf://internal/model is named by data"):
        Searcher(theirs, device="cpu")
    assert shelf.CALLS == []
