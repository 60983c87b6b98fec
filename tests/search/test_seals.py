"""A file of an index that is not what it was: found by `verify`, and never the end of the process."""

import json
import multiprocessing

import numpy as np
import pytest
from test_index_writer import DIM, MODEL, add, files, made_up

from fusemix.cli.called import run_command
from fusemix.errors import FusemixError, IndexFolderError
from fusemix.search import vectors as vectors_module
from fusemix.search import writer as writer_module
from fusemix.search.description import Description, is_index, problems_of, read_description
from fusemix.search.folder import Index
from fusemix.search.writer import IndexWriter

BITS = 60


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    """One segment of an inverted file, and a flat one."""
    folder = tmp_path_factory.mktemp("index")
    with pytest.MonkeyPatch.context() as patch:
        for place in (vectors_module, writer_module):
            patch.setattr(place, "FLAT_BELOW", 1000)
        add(folder, made_up(2000))
        add(folder, made_up(50, seed=1))
    assert len(read_description(folder).segments) == 2
    return folder


def flipped(path, place):
    raw = bytearray(path.read_bytes())
    raw[place // 8] ^= 1 << place % 8
    path.write_bytes(raw)


def places_in(folder, suffix, count, seed=0):
    """Bits of the files of one ending, drawn at random."""
    paths = sorted((folder / "segments").glob(f"*{suffix}"))
    sizes = [8 * path.stat().st_size for path in paths]
    generator = np.random.default_rng(seed)
    return [
        (path, int(generator.integers(size))) for path, size in zip(paths, sizes, strict=True) for _ in range(count)
    ]


@pytest.mark.parametrize("suffix", [".faiss", ".npy", ".parquet"])
def test_of_sixty_flipped_bits_sixty_are_found(index, suffix):
    description, found = read_description(index), 0
    for path, place in places_in(index, suffix, BITS):
        flipped(path, place)
        found += list(problems_of(index, description)) == [path]
        flipped(path, place)
    assert found == BITS * len(list((index / "segments").glob(f"*{suffix}")))
    assert problems_of(index, description) == {}


def test_verify_names_each_damaged_file_and_what_to_do(index, capsys):
    paths = sorted((index / "segments").glob("*.faiss"))
    run_command("verify", [str(index)])
    assert "6 files are as they were sealed" in capsys.readouterr().out
    for path in paths:
        flipped(path, 5)
    with pytest.raises(IndexFolderError, match="2 damaged:\n(.*does not have the content.*\n){2}Make the index again"):
        run_command("verify", [str(index)])
    for path in paths:
        flipped(path, 5)


def asked(folder):
    """Open, search, look at items; what goes wrong must be said as damage."""
    queries, _ = made_up(5, seed=9)
    try:
        opened = Index(folder)
        found = opened.search(queries, 10)
        opened.items(found.positions[0].tolist())
        opened.find("0/1999")
        opened.vectors([0, 1999, 2049])
        list(opened.columns("id"))
    except IndexFolderError:
        return True
    return False


def ask_with_each_flipped(folder, places):
    for path, place in places:
        flipped(path, place)
        asked(folder)
        flipped(path, place)


def test_a_search_over_flipped_bits_ends_with_a_sentence_or_an_answer(index):
    """In a process of its own, which must not be ended by them."""
    places = [place for suffix in (".faiss", ".npy", ".parquet") for place in places_in(index, suffix, 12, seed=1)]
    process = multiprocessing.get_context("fork").Process(target=ask_with_each_flipped, args=(index, places))
    process.start()
    process.join(120)
    assert process.exitcode == 0
    assert not asked(index)


def test_a_bit_that_says_how_much_there_is_is_noticed_before_the_file_is_opened(index):
    for segment in read_description(index).segments:
        for suffix, seal in segment.files.items():
            path = segment.file(index, suffix)
            for byte in (0, seal.bulk[0] - 1, seal.bulk[1]):
                if byte < seal.num_bytes:
                    flipped(path, 8 * byte)
                    with pytest.raises(IndexFolderError, match="does not have the content that it was sealed with"):
                        Index(index)
                    flipped(path, 8 * byte)


def test_items_that_changed_are_noticed_when_they_are_read(index):
    segment = read_description(index).segments[0]
    path, seal = segment.file(index, ".parquet"), segment.files[".parquet"]
    for byte in range(seal.bulk[0] + 64, seal.bulk[1], (seal.bulk[1] - seal.bulk[0]) // 10):
        flipped(path, 8 * byte)
        with pytest.raises(IndexFolderError, match="is missing or damaged"):
            Index(index).segment_content(0)
        flipped(path, 8 * byte)


def test_a_cosine_that_cannot_be_is_told_as_damage(tmp_path):
    rows, table = made_up(20)
    add(tmp_path, (rows, table))
    segment = read_description(tmp_path).segments[0]
    flipped(segment.file(tmp_path, ".faiss"), 8 * (segment.files[".faiss"].bulk[0] + 3) + 6)  # an exponent
    with pytest.raises(IndexFolderError, match=r"a cosine is beyond 1.*`fusemix verify`"):
        Index(tmp_path).search(rows[:3], 5)


@pytest.mark.parametrize("change", ["cut", "absent", "longer"])
@pytest.mark.parametrize("suffix", [".faiss", ".npy", ".parquet"])
def test_a_file_of_another_size_is_told_when_the_index_is_opened(index, suffix, change):
    path = next((index / "segments").glob(f"*{suffix}"))
    raw = path.read_bytes()
    path.unlink()
    if change != "absent":
        path.write_bytes(raw[: len(raw) // 2] if change == "cut" else raw + b"x")
    with pytest.raises(IndexFolderError, match=f"{path.name} (is missing|has .* bytes, and had .* when it was sealed)"):
        Index(index)
    path.write_bytes(raw)
    assert not asked(index)


def test_a_changed_index_json_is_found(tmp_path):
    add(tmp_path, made_up(5))
    path = tmp_path / "index.json"
    path.write_text(path.read_text().replace('"found": 1.0', '"found": 0.9'))
    with pytest.raises(IndexFolderError, match=r"index.json does not have the content"):
        run_command("verify", [str(tmp_path)])


def test_a_damaged_segment_is_not_taken_up_and_sealed_anew(tmp_path):
    add(tmp_path, made_up(30))
    path = next((tmp_path / "segments").glob("*.faiss"))
    flipped(path, 8 * (path.stat().st_size - 1))
    with pytest.raises(IndexFolderError, match="does not have the content that it was sealed with"):
        add(tmp_path, made_up(5, seed=1))


def as_version_1(folder):
    """As the previous version wrote it: numbers for names, no hashes."""
    said = json.loads((folder / "index.json").read_text())
    del said["sha256"]
    for number, segment in enumerate(said["segments"]):
        del segment["files"]
        name = segment.pop("name")
        for path in (folder / "segments").glob(f"{name}.*"):
            path.rename(path.with_stem(f"{number:05}"))
        segment["number"] = number
    (folder / "index.json").write_text(json.dumps({**said, "version": 1}))


def test_an_index_of_the_previous_version_is_searched_verified_and_added_to(tmp_path, capsys):
    add(tmp_path, made_up(25), segment_rows=10)
    as_version_1(tmp_path)
    (tmp_path / "segments" / "00009.npy").write_bytes(b"mine")
    assert is_index(tmp_path)
    assert Index(tmp_path).find("0/24") == 24
    run_command("verify", [str(tmp_path)])
    assert "3 of 3 segments were written by an earlier version, which kept no hashes" in " ".join(
        capsys.readouterr().out.split()
    )
    add(tmp_path, made_up(12, seed=1), segment_rows=10)
    opened = Index(tmp_path)
    assert [opened.find(item) for item in ("0/0", "0/24", "1/0", "1/11")] == [0, 24, 25, 36]
    assert [len(segment.files) for segment in opened.description.segments] == [0, 0, 2, 2]
    assert {name for name in files(tmp_path) if len(name) < 20} == {
        *("00000.faiss", "00000.parquet", "00001.faiss", "00001.parquet"),
        "00009.npy",
    }, "what the index had named is gone, and nothing else"


@pytest.mark.parametrize("name", ["../../mine", "/etc/passwd", "mine", "", "1", "0123456789abcdef-01234567"])
def test_an_index_that_names_files_of_others_is_refused(tmp_path, name):
    add(tmp_path, made_up(5))
    path = tmp_path / "index.json"
    said = json.loads(path.read_text())
    said["segments"][0]["name"] = name
    path.write_text(json.dumps(said))
    with pytest.raises(IndexFolderError, match=r"index.json is damaged"):
        Index(tmp_path)


def test_vectors_of_another_width_are_damage(tmp_path):
    add(tmp_path, made_up(5))
    path = tmp_path / "index.json"
    path.write_text(path.read_text().replace(f'"dim": {DIM}', f'"dim": {DIM + 1}'))
    with pytest.raises(FusemixError, match=f"holds vectors of width {DIM}, not {DIM + 1}"):
        Index(tmp_path)


# An index that takes another's place


def test_until_the_new_index_is_whole_the_old_one_is_there(tmp_path):
    add(tmp_path, made_up(30), segment_rows=10)
    foreign = [tmp_path / "segments" / name for name in ("00007.npy", "notes.faiss", "Thumbs.db")]
    for path in foreign:
        path.write_bytes(b"mine")
    writer = IndexWriter(tmp_path, Description(MODEL, DIM), segment_rows=10)
    writer.add(*made_up(25, seed=1))
    assert Index(tmp_path).find("0/29") == 29
    writer.finish()
    opened = Index(tmp_path)
    assert [opened.find(item) for item in ("0/0", "1/0", "1/24")] == [None, 0, 24]
    assert all(path.read_bytes() == b"mine" for path in foreign)
    assert len(files(tmp_path)) == 3 * 2 + len(foreign)


def test_an_index_of_no_items_is_another_one(tmp_path):
    add(tmp_path, made_up(5))
    description = IndexWriter(tmp_path, Description(MODEL, DIM)).finish()
    assert description.num_items == 0
    assert files(tmp_path) == []


def test_nothing_is_written_or_deleted_through_a_link(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "index").mkdir()
    (tmp_path / "index" / "segments").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(
        IndexFolderError, match="segments is a symbolic link, and nothing is written or deleted through"
    ):
        IndexWriter(tmp_path / "index", Description(MODEL, DIM))


# Reading while another process adds


def test_a_reader_that_is_overtaken_reads_again(tmp_path, monkeypatch):
    """What index.json names is replaced between the reading of it and the opening of a file."""
    add(tmp_path, made_up(30))
    real, times = Index._open, []

    def overtaken(self):
        times.append(1)
        if len(times) <= 3:
            with monkeypatch.context() as patch:
                patch.setattr(Index, "_open", real)
                add(tmp_path, made_up(5, seed=len(times)))
        real(self)

    monkeypatch.setattr(Index, "_open", overtaken)
    assert Index(tmp_path).num_items == 45
    assert len(times) == 4


def test_damage_stays_damage_while_nothing_is_added(tmp_path):
    add(tmp_path, made_up(30))
    next((tmp_path / "segments").glob("*.faiss")).unlink()
    with pytest.raises(IndexFolderError, match=r"\.faiss is missing"):
        Index(tmp_path)


def test_what_is_open_is_searched_on_after_its_files_were_replaced(tmp_path):
    rows, table = made_up(30)
    add(tmp_path, (rows, table))
    opened = Index(tmp_path)
    add(tmp_path, made_up(5, seed=1))
    assert opened.search(rows[:3], 1).positions[:, 0].tolist() == [0, 1, 2]
    assert [item["id"] for item in opened.items([0, 29])] == ["0/0", "0/29"]
