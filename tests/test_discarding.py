"""Nothing of a user's is deleted: what may be discarded, and what a kill leaves."""

import errno
import os
import shutil
from pathlib import Path, PurePosixPath

import pytest

from fusemix.disk.discarding import (
    Owned,
    beside,
    clear_discarded,
    discard,
    is_named,
    require_free,
    says,
    take_place,
)
from fusemix.disk.files import write_json
from fusemix.errors import OutputError

KIND = Owned(
    "a thing", lambda folder: says(folder / "thing.json", "fusemix.thing", 2), ("thing.json", "parts/[0-9]*.npy")
)


class KilledError(BaseException):
    """The process dies here."""


def make(folder: Path, text: str = "old") -> Path:
    (folder / "parts").mkdir(parents=True)
    (folder / "parts" / "0.npy").write_text(text)
    write_json(folder / "thing.json", {"format": "fusemix.thing", "version": 1})
    return folder


def content(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("path", "names", "expected"),
    [
        ("a.json", ("a.json",), True),
        ("x/a.json", ("a.json",), False),
        ("x/a.json", ("*/a.json",), True),
        ("x/y/a.json", ("*/a.json",), False),
        ("parts/12.npy", ("parts/[0-9]*.npy",), True),
        ("parts/old.npy", ("parts/[0-9]*.npy",), False),
        ("all/x/y", ("all/**",), True),
        ("all", ("all/**",), False),
        ("other/x", ("all/**",), False),
        ("A.json", ("a.json",), False),
    ],
)
def test_names_are_compared_component_by_component(path, names, expected):
    assert is_named(PurePosixPath(path), names) is expected


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[]", "half {", '{"format": "fusemix.thing"}', '{"format": "fusemix.thing", "version": 3}',
     '{"format": "fusemix.thing", "version": "1"}', '{"format": "fusemix.other", "version": 1}', '{"version": 1}'],
)  # fmt: skip
def test_only_a_seal_of_ours_in_a_version_we_know_makes_a_folder_ours(tmp_path, text):
    folder = make(tmp_path / "out")
    (folder / "thing.json").write_text(text)
    before = content(folder)
    with pytest.raises(OutputError, match="does not say that it is a thing of fusemix, so nothing in it is deleted"):
        discard(folder, KIND)
    assert content(folder) == before


@pytest.mark.parametrize(
    "name", ["notes.txt", "parts/mine.npy", "parts/0/0.npy", ".git/config", ".env", "x/thing.json"]
)
def test_a_file_of_somebody_else_keeps_the_whole_folder(tmp_path, name):
    folder = make(tmp_path / "out")
    (folder / name).parent.mkdir(parents=True, exist_ok=True) if name != "parts/0/0.npy" else (
        folder / "parts/0"
    ).mkdir()
    (folder / name).write_text("mine")
    before = content(folder)
    with pytest.raises(OutputError, match="holds what fusemix did not write there: ") as found:
        discard(folder, KIND)
    assert name in str(found.value)
    assert content(folder) == before


def test_of_many_files_of_somebody_else_a_few_are_named_and_the_others_counted(tmp_path):
    folder = make(tmp_path / "out")
    for number in range(9):
        (folder / f"note{number}.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"there: note0\.txt, note1\.txt, note2\.txt and 6 more"):
        discard(folder, KIND)


def test_what_systems_leave_in_folders_does_not_keep_them(tmp_path):
    folder = make(tmp_path / "out")
    for name in ("Thumbs.db", ".DS_Store", "parts/desktop.ini", "parts/._0.npy", ".x.0011aabb-12-0011aabb.part"):
        (folder / name).write_text("")
    discard(folder, KIND)
    assert list(tmp_path.iterdir()) == []


def test_no_link_is_followed(tmp_path):
    real = make(tmp_path / "real")
    (tmp_path / "link").symlink_to(real)
    with pytest.raises(OutputError, match="link is a symbolic link, and nothing is deleted through one"):
        discard(tmp_path / "link", KIND)
    (tmp_path / "away").mkdir()
    (tmp_path / "away" / "1.npy").write_text("mine")
    for link, target in (("parts/1.npy", "away/1.npy"), ("parts/2.npy", "away")):
        (real / link).symlink_to(tmp_path / target)
        with pytest.raises(OutputError, match=f"did not write there: {link}"):
            discard(real, KIND)
        (real / link).unlink()
    shutil.rmtree(real / "parts")
    (real / "parts").symlink_to(tmp_path / "away")
    with pytest.raises(OutputError, match="did not write there: parts"):
        discard(real, KIND)
    assert content(tmp_path / "away") == {"1.npy": "mine"}


def test_a_folder_that_one_stands_in_or_that_cannot_be_moved_stays(tmp_path, monkeypatch):
    folder = make(tmp_path / "out")
    before = content(folder)
    monkeypatch.chdir(folder / "parts")
    with pytest.raises(OutputError, match="out cannot be discarded by a command that runs in it"):
        discard(folder, KIND)
    monkeypatch.chdir(tmp_path)

    def busy(self, target):
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))

    with monkeypatch.context() as patch:
        patch.setattr(type(tmp_path), "rename", busy)  # as where a disk is mounted there
        with pytest.raises(OutputError, match="out cannot be discarded: Device or resource busy. Delete it by hand"):
            discard(folder, KIND)
    assert content(folder) == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_file_that_comes_at_the_last_moment_brings_the_folder_back(tmp_path, monkeypatch):
    folder = make(tmp_path / "out")
    rename = type(tmp_path).rename

    def with_a_newcomer(self, target):
        if self == folder:
            (folder / "thesis.tex").write_text("mine")
        return rename(self, target)

    monkeypatch.setattr(type(tmp_path), "rename", with_a_newcomer)
    with pytest.raises(OutputError, match=r"thesis\.tex"):
        discard(folder, KIND)
    assert content(folder)["thesis.tex"] == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def killed_after(count: int, patch: pytest.MonkeyPatch) -> None:
    """Die at the next change to the file system after so many."""
    left = [count]
    for owner, name in ((type(Path()), "rename"), (type(Path()), "mkdir"), (shutil, "rmtree")):
        original = getattr(owner, name)

        def counted(*args, _original=original, **options):
            if not left[0]:
                raise KilledError
            left[0] -= 1
            return _original(*args, **options)

        patch.setattr(owner, name, counted)


@pytest.mark.parametrize("count", range(8))
def test_killed_at_any_line_the_old_or_the_new_is_there_whole(tmp_path, monkeypatch, count):
    folder = make(tmp_path / "out", "old")
    new = make(beside(folder), "new")
    old_content, new_content = content(folder), content(new)
    ended = True
    with monkeypatch.context() as patch:
        killed_after(count, patch)
        try:
            take_place(new, folder, KIND)
        except KilledError:
            ended = False
    clear_discarded(folder)
    assert content(folder) == (old_content if new.exists() else new_content)
    if not new.exists():
        assert [path.name for path in tmp_path.iterdir() if path.name != "out"] == []
    if ended:
        assert count > 4
        assert not new.exists()


def test_what_takes_the_place_of_nothing_needs_no_seal_there(tmp_path):
    for number, there in enumerate((False, True)):
        folder = tmp_path / f"{number}"
        if there:
            folder.mkdir()
        take_place(make(beside(folder), "new"), folder, KIND)
        assert content(folder)["parts/0.npy"] == "new"
    (tmp_path / "2").mkdir()
    (tmp_path / "2" / "mine").write_text("mine")
    with pytest.raises(OutputError, match="does not say that it is"):
        take_place(make(beside(tmp_path / "2")), tmp_path / "2", KIND)
    assert content(tmp_path / "2") == {"mine": "mine"}


def test_only_what_discarding_itself_has_left_is_cleared(tmp_path, monkeypatch):
    names = [
        ".discarded-",
        ".discarded-a1b2",
        ".discarded-0011223344556677-0011223344556677",
        "discarded-1",
        ".discarded",
    ]
    for name in names:
        (tmp_path / name / "mine").mkdir(parents=True)
    make(tmp_path / "out")
    with monkeypatch.context() as patch:
        killed_after(4, patch)
        with pytest.raises(KilledError):
            discard(tmp_path / "out", KIND)
    clear_discarded(tmp_path / "another")
    assert not (tmp_path / "out").exists(), "another command's folders are not this one's business"
    (ours,) = [path for path in tmp_path.iterdir() if path.name not in names]
    shutil.move(ours, tmp_path / "away")
    ours.symlink_to(tmp_path / "away")
    clear_discarded(tmp_path / "out")
    clear_discarded(tmp_path / "nowhere" / "out")
    assert all((tmp_path / name / "mine").is_dir() for name in names)
    assert list((tmp_path / "away" / "kept" / "out").iterdir()), "through a link nothing is cleared"


def test_files_without_a_seal_are_not_written_over(tmp_path):
    folder = tmp_path / "out"
    require_free(folder, KIND)
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    require_free(folder, KIND)
    (folder / "thing.json").write_text("mine")
    with pytest.raises(OutputError, match=r"holds thing\.json, which would be written over"):
        require_free(folder, KIND)
    write_json(folder / "thing.json", {"format": "fusemix.thing", "version": 1})
    require_free(folder, KIND)
