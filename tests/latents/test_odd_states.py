"""What `verify` and `info` say of sets and stores that something has happened to: one sentence, whatever it was."""

import json
from pathlib import Path

import numpy as np
import pytest

from fusemix.cli.called import run_command
from fusemix.errors import FusemixError

MANIFEST, STORE = "image/eyes/manifest.json", "image/eyes"


def changed(name: str, **changes: object):
    def change(folder: Path) -> None:
        about = {**json.loads((folder / name).read_text()), **changes}
        (folder / name).write_text(json.dumps({key: value for key, value in about.items() if value != "lost"}))

    return change


def written(name: str, content: bytes):
    return lambda folder: (folder / name).write_bytes(content)


def unfinished(content: str):
    def change(folder: Path) -> None:
        (folder / MANIFEST).unlink()
        (folder / STORE / "started.json").write_text(content)

    return change


def of_equal_size(folder: Path) -> None:
    path = folder / STORE / "latents-00000.npy"
    path.write_bytes(b"x" * path.stat().st_size)


STATES = {
    "empty manifest": written(MANIFEST, b""),
    "manifest without shards": changed(MANIFEST, shards="lost"),
    "shards that are none": changed(MANIFEST, shards=[{"x": 1}]),
    "shards elsewhere": changed(
        MANIFEST, shards=[{"file": "../../words.npy", "num_rows": 64, "num_bytes": 1, "sha256": "0"}]
    ),
    "manifest of another release": changed(MANIFEST, more=1),
    "manifest without width": changed(MANIFEST, dim="lost"),
    "a text for a number": changed(MANIFEST, num_rows="128"),
    "no dict": changed(MANIFEST, fingerprint=[]),
    "accepted nonsense": changed(MANIFEST, accepted=[1]),
    "a list of sets": written("set.json", b"[]"),
    "half a set": changed("set.json", left={"modality": "image"}),
    "a side that is none": changed("set.json", left=3),
    "no count": changed("set.json", num_links="lost"),
    "broken table": written("items-image.parquet", b"garbage"),
    "other list": written("quarantine.jsonl", b'{"a": 1}\n'),
    "broken shard": of_equal_size,
}
BEGUN = ["", "null", '{"fingerprint": [], "batch_size": 3}', '{"fingerprint": {"shard_size": "x"}, "batch_size": 3}']


@pytest.mark.parametrize("change", STATES.values(), ids=STATES)
def test_verify_finds_it_and_info_shows_or_says_it(make_set, change):
    folder = make_set()
    change(folder)
    with pytest.raises(FusemixError, match=r"damaged|not of format|describes no latent set"):
        run_command("verify", [str(folder)])
    for shown in (folder, folder / STORE):
        try:
            run_command("info", [str(shown)])
        except FusemixError as error:
            assert str(folder) in str(error)


@pytest.mark.parametrize("content", BEGUN)
def test_what_was_begun_and_says_nonsense_of_itself_is_named(make_set, content):
    folder = make_set()
    unfinished(content)(folder)
    run_command("verify", [str(folder)])
    with pytest.raises(FusemixError, match="started.json was not written by fusemix, or is damaged"):
        run_command("info", [str(folder)])


def test_a_damaged_manifest_keeps_verify_from_no_other_store(make_set, capsys):
    folder = make_set()
    (folder / MANIFEST).write_text("{}")
    with pytest.raises(FusemixError, match=r"1 damaged:\n  .*eyes/manifest.json cannot be read"):
        run_command("verify", [str(folder)])
    assert "words: 4 shards are as they were sealed" in " ".join(capsys.readouterr().out.split())


def test_an_import_into_a_set_with_a_broken_table_names_it(make_set, tmp_path):
    folder = make_set()
    np.save(tmp_path / "v.npy", np.ones((128, 3), np.float32))
    (tmp_path / "ids.txt").write_text("\n".join(f"picture-{row}" for row in range(128)))
    (folder / "items-image.parquet").write_bytes(b"garbage")
    given = [f"latents={folder}", f"vectors={tmp_path / 'v.npy'}", f"ids={tmp_path / 'ids.txt'}", "name=mine"]
    with pytest.raises(FusemixError, match=r"items-image.parquet cannot be read"):
        run_command("import", [*given, "modality=image"])


def test_what_lies_about_is_no_part_of_a_set(make_set):
    folder = make_set()
    for name in ("image/.discarded-x", "image/mine", "image/eyes/old"):
        (folder / name).mkdir()
    for name in ("image/notes.txt", "image/eyes/.latents-00000.npy.12345678-1-12345678.part", ".eyes.lock.json"):
        (folder / name).write_text("{")
    run_command("verify", [str(folder)])
    run_command("info", [str(folder)])
