"""Latents that are imported from URLs, and embeddings that are exported to them."""

from pathlib import Path

import numpy as np
import pytest
import shelf
from latent_samples import pair_set
from test_exchange import exported, imported, vectors_with_ids

from fusemix.cli.called import run_command
from fusemix.errors import ConfigError, LatentStoreError, OutputError
from fusemix.latents.set_writer import write_set


@pytest.fixture(autouse=True)
def store(shelf_folder) -> Path:
    return shelf_folder


def content(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def left(tmp_path: Path) -> list[Path]:
    """What is still in the user's cache of what was fetched or made for a while."""
    places = [tmp_path / "cache" / "fusemix" / name for name in ("fetched", "sending")]
    return [path for place in places for path in place.glob(".*")]


def test_embeddings_behind_a_url_are_those_of_a_folder_and_come_back_as_the_same_set(make_set, store, tmp_path, capsys):
    latents = make_set(num_left=20, captions=2)
    exported(latents, tmp_path / "here", "rows_per_file=8")
    capsys.readouterr()
    exported(latents, "shelf://bucket/there", "rows_per_file=8")
    assert "5 files a folder" in (said := capsys.readouterr().out)
    assert "sending 16 files, 0.0 MB, to shelf://bucket/there" in said
    assert content(store / "bucket" / "there") == content(tmp_path / "here")
    assert [path for method, path in shelf.CALLS if method == "put"][-1] == "bucket/there/export.json"
    (store / "bucket" / "there" / "notes.npy").write_bytes(b"not fetched")
    near, far = imported(tmp_path / "here", tmp_path / "near"), imported("shelf://bucket/there", tmp_path / "far")
    told = {"set.json"}  # it says where the set is from
    assert {k: v for k, v in content(near).items() if k not in told} == {
        k: v for k, v in content(far).items() if k not in told
    }
    assert b'"folder": "shelf://bucket/there"' in (far / "set.json").read_bytes()
    assert ("open", "bucket/there/notes.npy") not in shelf.CALLS
    assert left(tmp_path) == []


def test_embeddings_behind_a_url_are_replaced_only_where_that_is_meant(make_set, store):
    latents = make_set(num_left=8)
    exported(latents, "shelf://there")
    with pytest.raises(OutputError, match="shelf://there holds an export of embeddings.*overwrite=true"):
        exported(latents, "shelf://there")
    exported(latents, "shelf://there", "overwrite=true", "rows_per_file=3")
    assert len(list((store / "there" / "text_emb").iterdir())) == 6
    (store / "there" / "text_emb" / "mine.txt").write_text("mine")
    with pytest.raises(OutputError, match="text_emb/mine.txt"):
        exported(latents, "shelf://there", "overwrite=true")


def test_vectors_and_ids_behind_urls_fill_a_store_as_those_of_this_machine(make_set, store, tmp_path):
    pairs = pair_set(np.stack([np.arange(12)] * 2, axis=1))
    ids = pairs.left.table["id"].to_pylist()
    near, far = (write_set(tmp_path / name, pairs, {"name": "x", "options": {}}) for name in ("near", "far"))
    arguments = vectors_with_ids(store / "vectors", ids)
    run_command("import", [f"latents={near}", *arguments])
    run_command(
        "import", [f"latents={far}", *(one.replace(str(store / "vectors"), "shelf://vectors") for one in arguments)]
    )
    assert content(near) == content(far)
    assert left(tmp_path) == []


def test_messages_about_what_was_fetched_name_the_url(make_set, store, tmp_path):
    latents = make_set(num_left=4)
    (store / "v.npy").write_bytes(b"no array")
    (store / "ids.txt").write_text("a\n")
    arguments = [f"latents={latents}", "modality=image", "name=x", "vectors=shelf://v.npy", "ids=shelf://ids.txt"]
    with pytest.raises(LatentStoreError, match=r"^shelf://v.npy cannot be read as .npy"):
        run_command("import", arguments)
    with pytest.raises(LatentStoreError, match=r"^shelf://none holds no \*_emb folder"):
        imported("shelf://none", tmp_path / "out")
    np.save(store / "v.npy", np.zeros((2, 3), np.float32))
    with pytest.raises(LatentStoreError, match=r"shelf://ids.txt has 1 ids, but shelf://v.npy has 2 rows"):
        run_command("import", arguments)
    assert left(tmp_path) == []


def test_latent_sets_and_their_folders_stay_on_this_machine(tmp_path):
    for arguments, key in (
        (["latents=s3://b/set", "encoders.image=a", "out=x"], "latents"),
        (["latents=x", "model=gs://b/run", "out=x"], "model"),
    ):
        with pytest.raises(ConfigError, match=f"{key} is '.*', but must be a path of this machine, and no URL"):
            run_command("export_embeddings", arguments)
    with pytest.raises(ConfigError, match="out is 's3://b/x', but must be a path of this machine, and no URL"):
        imported(tmp_path, "s3://b/x")
