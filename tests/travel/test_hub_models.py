"""Models are pushed to a hub and loaded from it by name; a tiny hub on this machine stands for the real one."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from exports import embeddings
from huggingface_hub import constants
from little_hub import COMMIT, NAME, TOKEN, Hub, running_hub

import fusemix
from fusemix.cli.called import run_command
from fusemix.errors import RunError


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    """An empty cache of the hub's library."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def hub(cache, monkeypatch) -> Iterator[Hub]:
    """What the hub's library talks to, and nothing else."""
    with running_hub() as hub:
        monkeypatch.setattr(constants, "ENDPOINT", hub.address)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.address + "/{repo_id}/resolve/{revision}/{filename}"
        )
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield hub


def test_a_model_that_was_pushed_is_loaded_by_its_name(tiny, items, wanted, hub, cache, tmp_path, capsys):
    hub.files["onnx/old.onnx"] = b"of an export before"
    hub.files["picture.png"] = b"of somebody's own"
    out = run_command("export", [f"model={tiny.run}", f"out={tmp_path / 'out'}", f"push_to={NAME}"])
    said = " ".join(capsys.readouterr().out.split())
    assert "MB of bert, an encoder that somebody else trained: its licence must allow that" in said
    assert f"pushed to {hub.address}/{NAME}" in said
    listed = re.findall(r"([\d,]+) bytes (\S+)", said.split(f"uploading to {NAME}: ")[1])
    assert {name for _, name in listed} >= {"config.json", "model.safetensors", "encoders/bert/config.json"}
    assert f'load it with fusemix.load("{NAME}")' in said
    assert hub.private is True
    local = {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert hub.files == local | {"picture.png": b"of somebody's own"}
    shutil.rmtree(out)
    for settings in ({}, {"revision": "main"}, {"revision": COMMIT}):
        found = embeddings(NAME, items, **settings)
        assert all((found[modality] == wanted[modality]).all() for modality in items)
    needed = {"config.json", "model.safetensors", "hubs.safetensors", "encoders"}
    assert {path.name for path in cache.glob("*/snapshots/*/*")} == needed


def test_a_public_model_is_public(tiny, hub, tmp_path):
    run_command("export", [f"model={tiny.run}", f"out={tmp_path / 'out'}", f"push_to={NAME}", "private=false"])
    assert hub.private is False


def test_pushing_without_a_token_says_how_to_log_in_before_anything_is_written(tiny, hub, tmp_path, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    with pytest.raises(RunError, match=rf"push_to={NAME} needs a token of the hub .* Log in with `hf auth login`"):
        run_command("export", [f"model={tiny.run}", f"out={tmp_path / 'out'}", f"push_to={NAME}"])
    assert not (tmp_path / "out").exists()


def test_pushing_with_a_token_that_is_refused_leaves_a_complete_export(tiny, hub, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_other")
    message = (
        rf"{NAME} cannot be pushed: .* may not write there: log in with `hf auth login`.* `hf upload {NAME} .*out` p"
    )
    with pytest.raises(RunError, match=message):
        run_command("export", [f"model={tiny.run}", f"out={tmp_path / 'out'}", f"push_to={NAME}"])
    assert (tmp_path / "out" / "config.json").is_file()
    assert hub.files == {}


def put(cache: Path, folder: Path, name: str) -> None:
    """Lay a folder into a cache as the hub's library does."""
    model = cache / f"models--{name.replace('/', '--')}"
    shutil.copytree(folder, model / "snapshots" / COMMIT)
    (model / "refs").mkdir()
    (model / "refs" / "main").write_text(COMMIT)


def test_what_was_fetched_before_is_loaded_offline(whole, items, wanted, cache):
    put(cache, whole, NAME)
    for settings in ({}, {"revision": COMMIT}, {"revision": "main"}):
        found = embeddings(NAME, {"text": items["text"]}, **settings)
        assert (found["text"] == wanted["text"]).all()


def test_a_name_that_cannot_be_reached_is_explained(cache):
    with pytest.raises(
        RunError, match=r"no folder nobody/nothing, and on the hub nobody/nothing at revision v1 is not available"
    ):
        fusemix.load("nobody/nothing", revision="v1")


def test_another_kind_of_model_on_the_hub_is_named(tiny, cache):
    put(cache, Path(tiny.recipes["bert"]["options"]["model"]), "somebody/bert")
    with pytest.raises(RunError, match=r"somebody/bert on the hub is no model that fusemix exported"):
        fusemix.load("somebody/bert")


def test_a_hub_that_is_not_there_leaves_a_complete_export(tiny, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with pytest.raises(
        RunError, match=r"somebody/tiny cannot be pushed: .* Check the network and HF_HUB_OFFLINE. The exp"
    ):
        run_command("export", [f"model={tiny.run}", f"out={tmp_path / 'out'}", f"push_to={NAME}"])
    assert (tmp_path / "out" / "model.safetensors").is_file()
