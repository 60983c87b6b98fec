"""No file that fusemix writes holds a module path of ours: modules may move, and files stay."""

import json
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from evaluation_world import settings
from latent_samples import labelled_set
from module_paths import module_paths_in

from fusemix.cli.called import run_command
from fusemix.parts import own_code
from fusemix.remote import own_urls

OWN = "fusemix.datasets.glyphs:glyphs"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.json", json.dumps({"name": OWN}).encode()),
        ("a.ckpt", b"PK\x03\x04\x80X\x1e" + OWN.encode() + b"q\x01"),
        ("a.onnx", b'\x00File "/home/me/fusemix/build/travel/onnx.py", line 51'),
        ("a.yaml", b"adapter:\n  name: fusemix.fusion.adapters.linear:Linear\n"),
    ],
)
def test_a_module_path_is_found_wherever_it_stands(name, content, tmp_path):
    (tmp_path / name).write_bytes(content)
    assert set(module_paths_in(tmp_path)) == {name}


def test_a_module_path_is_found_in_compressed_columns_and_in_metadata(tmp_path):
    pq.write_table(pa.table({"a": [OWN] * 1000}), tmp_path / "column.parquet", compression="zstd")
    pq.write_table(pa.table({"a": [1]}).replace_schema_metadata({"made by": OWN}), tmp_path / "metadata.parquet")
    assert set(module_paths_in(tmp_path)) == {"column.parquet", "metadata.parquet"}


def test_names_of_formats_files_and_packages_are_no_module_paths(tmp_path):
    (tmp_path / "a.json").write_text('{"format": "fusemix.latent_set", "lock": ".fusemix.lock", "fusemix": "0.1.0"}')
    (tmp_path / "README.md").write_text('library_name: fusemix\nmodel = fusemix.load("exports/a")\nMade by fusemix.\n')
    assert module_paths_in(tmp_path) == {}


def test_latents_runs_and_indexes_hold_none(tiny, picture_index):
    assert len(list(tiny.latents.rglob("manifest.json"))) == 5
    assert module_paths_in(tiny.latents) == module_paths_in(tiny.run) == module_paths_in(picture_index) == {}


def test_reports_and_comparisons_hold_none(evaluation_world, tmp_path):
    evaluate, shown = partial(run_command, "eval_retrieval"), ["ks=[1,5]", "num_examples=1", "overwrite=true"]
    for checkpoint in ("best", "last"):
        evaluate(settings(evaluation_world, tmp_path / checkpoint, f"checkpoint={checkpoint}", *shown))
    run_command("compare", [str(tmp_path / "best"), str(tmp_path / "last"), f"out={tmp_path / 'both'}"])
    encoders = "encoders={image: [clip], text: [words]}"
    latents = labelled_set(tmp_path / "labelled")
    run_command("eval_zero_shot", [f"latents={latents}", encoders, f"out={tmp_path / 'classes'}"])
    assert {path.name for path in tmp_path.rglob("*.json")} >= {"report.json", "compare.json"}
    assert module_paths_in(tmp_path) == {}


def test_sets_that_are_imported_hold_none(make_set, tmp_path):
    folder, both = make_set(num_left=20, captions=1), "encoders={image: [eyes], text: [words]}"
    run_command("export_embeddings", [f"latents={folder}", both, f"out={tmp_path / 'out'}"])
    back = [f"clip_retrieval={tmp_path / 'out'}", f"out={tmp_path / 'back'}", "dataset=back", "split=train"]
    run_command("import", back)
    np.save(tmp_path / "v.npy", np.ones((20, 3), np.float32))
    (tmp_path / "ids.txt").write_text("".join(f"picture-{number}\n" for number in range(20)))
    vectors = [f"vectors={tmp_path / 'v.npy'}", f"ids={tmp_path / 'ids.txt'}", "modality=image"]
    run_command("import", [f"latents={tmp_path / 'back' / 'train'}", *vectors, "name=mine"])
    assert module_paths_in(tmp_path) == {}


def test_what_is_noted_of_a_user_holds_none(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    own_code.remember("json:loads")
    own_urls.remember("s3://bucket/photos")
    assert {path.name for path in tmp_path.rglob("*.json")} == {"own_code.json", "own_urls.json"}
    assert module_paths_in(tmp_path) == {}
