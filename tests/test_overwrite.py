"""Every command that has `overwrite`: nothing goes that is not ours, and not before all else was looked at."""

import dataclasses
from pathlib import Path

import pytest
from overwrite_cases import CASES, Case, caching, caching_another_set

from fusemix import config
from fusemix.cli.table import COMMANDS
from fusemix.errors import FusemixError
from fusemix.latents.verify import stores_of
from fusemix.latents.writer import StoreWriter


@pytest.fixture(params=[make for of_command in CASES.values() for make in of_command], ids=lambda make: make.__name__)
def case(request, tiny, make_set, tmp_path) -> Case:
    return request.param(tiny, make_set, tmp_path)


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def overwriting(case: Case, out: Path, *changes: str) -> None:
    dashed = any(change.startswith("--") for change in case.change)
    case.make(out, *changes, *(["--overwrite", "true"] if dashed else ["overwrite=true"]))


def test_every_command_with_overwrite_is_here():
    schemas = {name: getattr(config, command.schema) for name, command in COMMANDS.items() if command.schema}
    with_overwrite = {
        name for name, schema in schemas.items() if "overwrite" in {field.name for field in dataclasses.fields(schema)}
    }
    assert with_overwrite - {"check"} == CASES.keys(), "check takes the settings of another command, and writes nothing"


def refused(case: Case, out: Path, changes: list[str], match: str | None = None, where: Path | None = None) -> None:
    """Overwriting ends in one message, and everything is as it was."""
    before = content(where or out)
    with pytest.raises(FusemixError, match=match):
        overwriting(case, out, *changes)
    assert content(where or out) == before


def test_what_was_there_makes_room_whole(case, tmp_path):
    out = tmp_path / "out"
    case.make(out)
    before = content(out)
    with pytest.raises(FusemixError):
        case.make(out, *case.change)
    assert content(out) == before, "without overwrite"
    overwriting(case, out, *case.change)
    assert content(out) != before
    assert [path.name for path in out.rglob(".*") if path.is_dir()] == [], "nothing is left aside"
    assert [path.name for path in tmp_path.glob(".*")] == []


def test_what_goes_wrong_later_leaves_all_as_it_was(case, tmp_path):
    case.make(tmp_path / "out")
    refused(case, tmp_path / "out", case.wrong)


def test_a_file_of_the_users_beside_ours_is_a_reason_to_refuse(case, tmp_path):
    out = tmp_path / "out"
    case.make(out)
    (out / case.discarded / "notes").mkdir()
    (out / case.discarded / "notes" / "diary.txt").write_text("mine")
    refused(case, out, case.change, r"diary\.txt")


def test_files_that_only_bear_our_names_stay(case, tmp_path):
    case.make(tmp_path / "ours")
    out = tmp_path / "out"
    for name in content(tmp_path / "ours"):
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_text('{"mine": true}')
    refused(case, out, case.change)


def test_nothing_goes_through_a_link(case, tmp_path):
    out = tmp_path / "out"
    case.make(out)
    place = out / case.discarded
    place.rename(tmp_path / "real")
    place.symlink_to(tmp_path / "real")
    refused(case, out, case.change, "symbolic link", tmp_path / "real")


@pytest.mark.parametrize("make_case", [caching, caching_another_set])
def test_latents_that_are_to_be_replaced_stay_until_the_new_ones_are_whole(
    make_case, tiny, make_set, tmp_path, monkeypatch
):
    case, out = make_case(tiny, make_set, tmp_path), tmp_path / "out"
    case.make(out)
    before = content(out / "all" / "image" / "hog")
    with monkeypatch.context() as patch:
        patch.setattr(StoreWriter, "seal", lambda writer: (_ for _ in ()).throw(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            overwriting(case, out, *case.change)
    assert content(out / "all" / "image" / "hog") == before
    assert len(stores_of(out / "all")) == 1, "what is half done is nobody's store"
    overwriting(case, out, *case.change)
    case.make(tmp_path / "fresh", *case.change)
    assert content(out).keys() == content(tmp_path / "fresh").keys()
    assert content(out / "all" / "image" / "hog") == content(tmp_path / "fresh" / "all" / "image" / "hog")
