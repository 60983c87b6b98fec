"""The list of rows without latent is guarded: read, verified and fixed."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from latent_samples import pair_set, write_store

from fusemix.cli.called import run_command
from fusemix.errors import LatentStoreError
from fusemix.interfaces import Rejected
from fusemix.latents.manifest import read_manifest
from fusemix.latents.set_writer import write_set
from fusemix.latents.sets import LatentSet
from fusemix.latents.store import LatentStore

LINKS = np.array([[0, 0], [1, 1], [2, 2], [3, 3], [4, 4]])
BAD = [Rejected("picture-1", "decode", "truncated"), Rejected("picture-4", "read", "gone")]
EYES = np.arange(10, dtype=np.float32).reshape(5, 2)


def make(folder: Path, **options: object) -> Path:
    """A set whose pictures 1 and 4 have no latent, in shards of two."""
    pairs = pair_set(LINKS)
    write_set(folder, pairs, {"name": "a:b"})
    write_store(folder, pairs.left, "eyes", EYES, BAD, shard_size=2, **options)
    write_store(folder, pairs.right, "words", EYES, shard_size=2)
    return folder


def without_hashes(folder: Path) -> None:
    """As it was written before hashes were noted."""
    for path, keys in (
        (folder / "image/eyes/manifest.json", ("quarantine_sha256", "accepted")),
        (folder / "set.json", ()),
    ):
        about = json.loads(path.read_text())
        path.write_text(
            json.dumps({key: value for key, value in about.items() if key not in (*keys, "quarantine_sha256")})
        )


@pytest.mark.parametrize("is_old", [False, True])
@pytest.mark.parametrize("change", ["gone", "shorter", "other"])
def test_a_store_whose_list_of_rows_without_latent_is_lost_or_changed_is_not_read(tmp_path, change, is_old):
    folder = make(tmp_path / "set")
    if is_old:
        without_hashes(folder)
        LatentStore(folder / "image/eyes")
    path = folder / "image/eyes/quarantine.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text(
        {"gone": "", "shorter": lines[0], "other": "".join(lines).replace("picture-4", "picture-3")}[change]
    )
    if change == "gone":
        path.unlink()
    if (change, is_old) == ("other", True):
        return  # as many lines: nobody can tell
    with pytest.raises(LatentStoreError, match=r"eyes/quarantine.jsonl .*which rows have no latent.*makes the shards"):
        LatentSet(folder, {"image": ["eyes"], "text": ["words"]})
    with pytest.raises(LatentStoreError, match=r"1 damaged:\n  .*eyes/quarantine.jsonl"):
        run_command("verify", [str(folder)])


@pytest.mark.parametrize("is_old", [False, True])
def test_the_same_command_finds_the_rows_again_by_their_nan_and_leaves_the_same_bytes(tmp_path, is_old):
    folder = make(tmp_path / "set")
    whole = {path.name: path.read_bytes() for path in (folder / "image/eyes").iterdir()}
    if is_old:
        without_hashes(folder)
    (folder / "image/eyes/quarantine.jsonl").unlink()
    untouched = (folder / "image/eyes/latents-00001.npy").stat().st_mtime_ns
    make(folder)
    assert {path.name: path.read_bytes() for path in (folder / "image/eyes").iterdir()} == whole
    assert (folder / "image/eyes/latents-00001.npy").stat().st_mtime_ns == untouched, "it has no such row"


def test_a_list_of_nothing_need_not_be_there(tmp_path):
    folder = make(tmp_path / "set")
    (folder / "text/words/quarantine.jsonl").unlink()
    assert read_manifest(folder / "text/words").num_rejected == 0
    assert LatentSet(folder, {"image": ["eyes"], "text": ["words"]}).links[:, 1].tolist() == [0, 2, 3]
    run_command("verify", [str(folder)])


@pytest.mark.parametrize("name", ["items-image.parquet", "items-text.parquet", "links.parquet", "quarantine.jsonl"])
@pytest.mark.parametrize("change", ["gone", "half", "other"])
def test_every_file_of_a_set_that_is_lost_or_changed_is_noticed_and_written_again(tmp_path, name, change):
    from dataclasses import replace

    pairs = replace(pair_set(LINKS), excluded=(Rejected("c.jpg", "dataset", "no such file"),))
    other = replace(pair_set(LINKS[::-1].copy()), excluded=(Rejected("d.jpg", "dataset", "no such file"),))
    other = replace(other, left=replace(other.left, table=other.left.table.take([1, 0, 2, 3, 4])))
    other = replace(other, right=replace(other.right, table=other.right.table.take([1, 0, 2, 3, 4])))
    folder = tmp_path / "set"
    write_set(folder, pairs, {"name": "a:b"})
    write_set(tmp_path / "other", other, {"name": "a:b"})
    whole = {path.name: path.read_bytes() for path in folder.iterdir()}
    if change == "other":
        shutil.copy(tmp_path / "other" / name, folder / name)
    else:
        (folder / name).write_bytes(whole[name][: len(whole[name]) // 2])
        if change == "gone":
            (folder / name).unlink()
    with pytest.raises(LatentStoreError, match=rf"(?s)1 damaged:.*{name}.*verify=true"):
        run_command("verify", [str(folder)])
    write_set(folder, pairs, {"name": "a:b"}, verify=change == "other")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == whole


def test_links_that_somebody_changed_are_not_trained_on(tmp_path):
    folder, other = make(tmp_path / "set"), tmp_path / "other"
    write_set(other, pair_set(LINKS[::-1].copy()), {"name": "a:b"})
    assert len(LatentSet(folder, {"image": ["eyes"], "text": ["words"]}).links) == 3
    shutil.copy(other / "links.parquet", folder / "links.parquet")
    with pytest.raises(LatentStoreError, match=r"links.parquet does not have the content that it was sealed with"):
        _ = LatentSet(folder, {"image": ["eyes"], "text": ["words"]}).links


def test_a_table_that_is_cut_short_is_refused_with_what_mends_it(tmp_path):
    folder = make(tmp_path / "set")
    shutil.copy(folder / "items-image.parquet", folder / "items-text.parquet")
    found = LatentSet(folder, {"image": ["eyes"], "text": ["words"]})
    (folder / "items-image.parquet").write_bytes(b"PAR1")
    with pytest.raises(LatentStoreError, match=r"items-image.parquet cannot be read.*the same settings"):
        _ = found.left.table
