"""A file of an index that is not what it was: found by `verify`, and never the end of the process."""

import multiprocessing

import numpy as np
import pytest
from table_samples import add, made_up

from fusemix.cli.called import run_command
from fusemix.errors import IndexFolderError
from fusemix.search import state, tuning
from fusemix.search.folder import Index
from fusemix.search.seals import problems_of

BITS = 12


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    """Large enough for an inverted file, and added to."""
    folder = tmp_path_factory.mktemp("index")
    with pytest.MonkeyPatch.context() as patch:
        for place in (state, tuning):
            patch.setattr(place, "FLAT_BELOW", 1000)
        add(folder, made_up(2000))
        add(folder, made_up(50, seed=1))
    return folder


def files(folder):
    names = (path for path in (folder / "items.lance").rglob("*") if path.is_file())
    return sorted(path for path in names if path.name != "latest_version_hint.json")


def flipped(path, place):
    raw = bytearray(path.read_bytes())
    raw[place // 8] ^= 1 << place % 8
    path.write_bytes(raw)


def places_in(folder, seed):
    """Bits of all files, some of them from the end, where a file says what is in it."""
    generator = np.random.default_rng(seed)
    for path in files(folder):
        size = 8 * path.stat().st_size
        some = generator.integers(size, size=BITS // 2), size - 1 - generator.integers(min(size, 2000), size=BITS // 2)
        yield from ((path, int(place)) for place in np.concatenate(some))


def test_every_flipped_bit_is_found(index):
    for path, place in places_in(index, 0):
        flipped(path, place)
        assert list(problems_of(index)[0]) == [path]
        flipped(path, place)
    assert problems_of(index) == ({}, len(files(index)), 0)


def test_verify_names_each_damaged_file_and_what_to_do(index, capsys):
    run_command("verify", [str(index)])
    assert f"{len(files(index))} files are as they were sealed" in capsys.readouterr().out
    first, second = files(index)[:2]
    raw = second.read_bytes()
    flipped(first, 5)
    second.write_bytes(raw[:-1])
    said = r"2 damaged:\n(.*does not have the content.*\n|.* bytes, and had .*\n){2}Make the index again"
    with pytest.raises(IndexFolderError, match=said):
        run_command("verify", [str(index)])
    flipped(first, 5)
    second.unlink()
    with pytest.raises(IndexFolderError, match="is missing"):
        run_command("verify", [str(index)])
    second.write_bytes(raw)


def asked(folder):
    """Open, search, look at items; what goes wrong must be said as damage."""
    try:
        opened = Index(folder)
        found = opened.search(made_up(3, seed=9)[0], 10)
        opened.items(found.positions[0].tolist())
        opened.find("0/1999")
        opened.vectors([0, 1999, 2049])
        list(opened.columns(["id"]))
    except IndexFolderError:
        return True
    return False


def ask_with_each_flipped(folder):
    for path, place in places_in(folder, 1):
        flipped(path, place)
        asked(folder)
        flipped(path, place)


def test_a_search_over_flipped_bits_ends_with_a_sentence_or_an_answer(index):
    """In a process of its own, which must not be ended by them."""
    process = multiprocessing.get_context("spawn").Process(target=ask_with_each_flipped, args=(index,))
    process.start()
    process.join(120)
    assert process.exitcode == 0
    assert not asked(index)


def test_files_of_a_command_that_did_not_end_are_told_from_sealed_ones(tmp_path, capsys):
    add(tmp_path, made_up(5))
    (tmp_path / "seals.json").write_text("{}")
    run_command("verify", [str(tmp_path)])
    assert "files were written by a command that did not end" in " ".join(capsys.readouterr().out.split())
    add(tmp_path, made_up(5, seed=1))
    run_command("verify", [str(tmp_path)])
    assert "did not end" not in capsys.readouterr().out


@pytest.mark.parametrize("text", ["[]", '{"../x": [1, "a"]}', '{"items.lance/x": [1]}', "{"])
def test_seals_that_are_none_are_damage(tmp_path, text):
    add(tmp_path, made_up(5))
    (tmp_path / "seals.json").write_text(text)
    with pytest.raises(IndexFolderError, match=r"seals\.json is damaged"):
        run_command("verify", [str(tmp_path)])
    add(tmp_path, made_up(5, seed=1))
    run_command("verify", [str(tmp_path)])


def test_a_changed_index_json_is_found(tmp_path):
    add(tmp_path, made_up(5))
    path = tmp_path / "index.json"
    path.write_text(path.read_text().replace('"num_tuned": 0', '"num_tuned": 1'))
    with pytest.raises(IndexFolderError, match=r"index.json does not have the content"):
        run_command("verify", [str(tmp_path)])
