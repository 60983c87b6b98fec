"""What of an encoder's folder travels, and what stays."""

import json
import shutil

import pytest

import fusemix
from fusemix.cli.called import run_command
from fusemix.encoders import ENCODERS
from fusemix.wiring.exporting.parcels import FAMILIES, parcel_of, send, without_places

STRAYS = [
    "optimizer.pt",
    "notes.txt",
    "training_args.bin",
    "train.py",
    "sub/deep.json",
    "scheduler.safetensors",
    ".env",
]


@pytest.fixture
def bert(tiny, tmp_path):
    """The text encoder's folder with what people leave in such folders, and links out of it."""
    folder = shutil.copytree(tiny.recipes["bert"]["options"]["model"], tmp_path / "models" / "bert")
    for name in STRAYS:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("mine")
    (tmp_path / "secret.json").write_text('{"password": "x"}')
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "config.json").write_text("{}")
    (folder / "processor_config.json").symlink_to(tmp_path / "secret.json")
    (folder / "1_Pooling").symlink_to(tmp_path / "secrets")
    for name, place in (("config.json", "_name_or_path"), ("tokenizer_config.json", "name_or_path")):
        config = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps(config | {place: "/home/me/models/bert"}))
    return folder


def test_every_family_with_files_says_which_it_needs():
    assert set(FAMILIES) == set(ENCODERS.names()) - {"hog", "log_mel"}


def test_an_export_holds_what_its_encoder_is_built_from_and_nothing_else(tiny, bert, tmp_path, capsys):
    moved = f"encoders={{bert: {{name: transformers_text, options: {{model: '{bert}'}}}}}}"
    out = run_command("export", [f"model={tiny.run}", f"out={tmp_path / 'out'}", moved])
    said = " ".join(capsys.readouterr().out.split())
    found = {path.name for path in (out / "encoders" / "bert").rglob("*")}
    assert found == {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "vocab.txt"}
    assert "left out of encoders/bert, since nothing is built from it: .env (4 bytes)" in said
    assert "optimizer.pt (4 bytes)" in said and "processor_config.json (a link out of the folder)" in said
    written = b"".join(path.read_bytes() for path in out.rglob("*") if path.is_file())
    assert not [word for word in (b"/home/me", b"password", b"mine", str(tmp_path).encode()) if word in written]
    assert fusemix.load(out, device="cpu").encode(texts="a red bar").shape == (16,)


def test_links_within_a_folder_travel_as_files_and_pickles_only_where_there_is_nothing_else(tmp_path):
    folder = tmp_path / "model"
    (folder / "weights").mkdir(parents=True)
    (folder / "weights" / "w").write_text("tensors")
    (folder / "model.safetensors").symlink_to("weights/w")
    (folder / "pytorch_model.bin").write_text("pickle")
    parcel = parcel_of(folder, ["timm"])
    assert parcel.files == ("model.safetensors",)
    assert parcel.left == ("weights/w (7 bytes)", "pytorch_model.bin (the same as safetensors is there)")
    send(parcel, tmp_path / "out")
    assert (tmp_path / "out" / "model.safetensors").read_text() == "tensors"
    assert not (tmp_path / "out" / "model.safetensors").is_symlink()
    (folder / "model.safetensors").unlink()
    assert parcel_of(folder, ["timm"]).files == ("pytorch_model.bin",)


def test_a_snapshot_in_the_hubs_cache_travels_whole(tmp_path):
    blobs, snapshot = tmp_path / "models--a--b" / "blobs", tmp_path / "models--a--b" / "snapshots" / "0123"
    blobs.mkdir(parents=True)
    snapshot.mkdir(parents=True)
    (blobs / "1").write_text("{}")
    (snapshot / "config.json").symlink_to("../../blobs/1")
    assert parcel_of(snapshot, ["timm"]).files == ("config.json",)


def test_modules_of_sentence_transformers_travel_and_other_folders_do_not(tmp_path):
    for name in (
        "modules.json",
        "1_Pooling/config.json",
        "2_Dense/model.safetensors",
        "old/model.safetensors",
        "2_Dense/x.py",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("{}")
    found = parcel_of(tmp_path, ["sentence_transformers"]).files
    assert found == ("1_Pooling/config.json", "2_Dense/model.safetensors", "modules.json")


def test_places_on_a_machine_are_taken_out_of_configs_and_words_are_not():
    config = {
        "a": [{"name_or_path": "x", "cache_dir": "~/a/b"}],
        "vocab_file": "/a/b",
        "content": "/a/b",
        "act": "gelu",
    }
    assert without_places(config) == {"a": [{}], "content": "/a/b", "act": "gelu"}
