"""Differences that a user knows to be equal in effect, and says so by name."""

import json

import numpy as np
import pyarrow as pa
import pytest

from fusemix.errors import LatentStoreError
from fusemix.latents.manifest import read_manifest
from fusemix.latents.writer import StoreWriter

ENCODER = {"model": "org/model", "weights_sha256": "f00", "packages": {"torch": "2.9+cpu"}}
MOVED = {"model": "/models/model", "weights_sha256": "f00", "packages": {"torch": "2.9+cu130"}}


def opened(folder, encoder, **options):
    settings = {
        "ids": pa.chunked_array([["a", "b"]]),
        "modality": "image",
        "dim": 2,
        "dtype": "float16",
        "shard_size": 1,
    }
    fingerprint = {"encoder": encoder, "items_sha256": "abc"}
    return StoreWriter(folder, **{**settings, "fingerprint": fingerprint, "accept": (), **options})


def write(writer, upto=2):
    for index in writer.missing()[:upto]:
        writer.write(index, np.ones((1, 2), np.float32), [])


@pytest.mark.parametrize("is_sealed", [False, True])
def test_the_refusal_names_the_very_setting_that_accepts_it_and_the_manifest_notes_it(tmp_path, is_sealed):
    folder = tmp_path / "store"
    write(opened(folder, ENCODER), 2 if is_sealed else 1)
    if is_sealed:
        opened(folder, ENCODER).seal()
    with pytest.raises(LatentStoreError, match=r"go on with 'accept=\[encoder.model,encoder.packages.torch\]'"):
        opened(folder, MOVED)
    with pytest.raises(LatentStoreError, match=r"encoder.packages.torch: on disk '2.9\+cpu', now '2.9\+cu130'"):
        opened(folder, MOVED, accept=["encoder.model"])
    accept = ["encoder.model", "encoder.packages.torch"]
    going_on = opened(folder, MOVED, accept=accept)
    assert going_on.missing() == ([] if is_sealed else [1]), "what is there counts"
    write(going_on)
    manifest = going_on.seal()
    assert manifest.fingerprint["encoder"] == ENCODER
    assert json.loads((folder / "manifest.json").read_text())["accepted"] == [
        {"field": "encoder.model", "on_disk": "org/model", "now": "/models/model"},
        {"field": "encoder.packages.torch", "on_disk": "2.9+cpu", "now": "2.9+cu130"},
    ]
    before = (folder / "manifest.json").read_bytes()
    assert opened(folder, MOVED, accept=accept).seal() == read_manifest(folder) == manifest
    opened(folder, ENCODER)
    assert (folder / "manifest.json").read_bytes() == before


def test_other_weights_are_accepted_by_their_own_name_alone(tmp_path):
    other = {**ENCODER, "weights_sha256": "bad"}
    write(opened(tmp_path / "store", ENCODER))
    for accept in (["encoder"], ["encoder.model"], ["weights_sha256"], ["encoder.weights"]):
        with pytest.raises(LatentStoreError, match=r"(?s)encoder.weights_sha256: .*accept=\[encoder.weights_sha256\]"):
            opened(tmp_path / "store", other, accept=accept)
    assert opened(tmp_path / "store", other, accept=["encoder.weights_sha256"]).missing() == []


@pytest.mark.parametrize(
    ("change", "name"),
    [({"dim": 3}, "dim"), ({"dtype": "float32"}, "dtype"), ({"shard_size": 2}, "shard_size")],
)
def test_what_says_which_row_is_where_can_never_be_accepted(tmp_path, change, name):
    write(opened(tmp_path / "store", ENCODER))
    with pytest.raises(LatentStoreError, match=f"{name}: on disk") as refused:
        opened(tmp_path / "store", MOVED, accept=[name, "encoder.model", "encoder.packages.torch"], **change)
    assert "accept=" not in str(refused.value)


def test_where_nothing_can_be_accepted_nothing_is_offered(tmp_path):
    write(opened(tmp_path / "store", ENCODER, accept=None))
    with pytest.raises(LatentStoreError, match="encoder.model: on disk") as refused:
        opened(tmp_path / "store", MOVED, accept=None)
    assert "accept=" not in str(refused.value)


HUB, LOCAL = {"name": "image", "options": {"model": "org/model"}}, {"name": "image", "options": {"model": "/models/x"}}


@pytest.mark.parametrize("is_sealed", [False, True])
def test_what_builds_the_encoder_again_stays_that_of_the_fingerprint_when_another_is_accepted(tmp_path, is_sealed):
    folder = tmp_path / "store"
    write(opened(folder, ENCODER, source=HUB), 2 if is_sealed else 1)
    if is_sealed:
        opened(folder, ENCODER, source=HUB).seal()
        (folder / "latents-00001.npy").unlink()
    for _ in range(2):
        going_on = opened(folder, MOVED, source=LOCAL, accept=["encoder.model", "encoder.packages.torch"])
    write(going_on)
    assert going_on.seal().source == HUB
    (folder / "latents-00000.npy").unlink()
    again = opened(folder, ENCODER, source=HUB)
    write(again)
    assert again.seal().source == HUB


def test_a_source_that_gives_the_same_fingerprint_takes_the_place_of_the_one_it_was_begun_with(tmp_path):
    write(opened(tmp_path / "store", ENCODER, source=HUB), 1)
    going_on = opened(tmp_path / "store", ENCODER, source=LOCAL)
    write(going_on)
    assert going_on.seal().source == LOCAL
