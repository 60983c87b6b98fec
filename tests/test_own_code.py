"""Code that a user has named is known again, and nothing else is."""

import json
import sys

import pytest

from fusemix.errors import ConfigError, UntrustedCodeError
from fusemix.parts.own_code import is_known, user_cache
from fusemix.parts.registry import Registry
from fusemix.parts.trust import imported, named_by_data, require_trust

PARTS = Registry("part", {})


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder that a user works in, with a module of their own; nothing was named before."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "here"
    folder.mkdir()
    (folder / "own_part.py").write_text(
        "from math import sqrt\ndef one(): return 1\ndef two(): return 2\nclass Three: pass\nFOLDER = '/'\n"
    )
    monkeypatch.chdir(folder)
    monkeypatch.delitem(sys.modules, "own_part", raising=False)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    yield folder
    sys.modules.pop("own_part", None)


def test_what_settings_have_named_is_not_asked_for_when_a_run_names_it(here):
    with pytest.raises(UntrustedCodeError, match="own_part:one"):
        require_trust("the run", ["own_part:one"], trust_code=False)
    assert PARTS.build("own_part:one", {}) == 1
    require_trust("the run", ["own_part:two", "own_part:Three"], trust_code=False)
    del sys.modules["own_part"]
    with named_by_data():
        assert PARTS.build("own_part:two", {}) == 2


@pytest.mark.parametrize("name", ["own_part:sqrt", "model=own_part:FOLDER", "own_part:four"])
def test_what_ones_file_only_imports_or_holds_is_asked_for_until_it_is_named_itself(here, name):
    PARTS.build("own_part:one", {})
    with pytest.raises(UntrustedCodeError, match=name):
        require_trust("the run", [name], trust_code=False)
    imported(name.removeprefix("model="), is_own=False)
    require_trust("the run", [name], trust_code=False)


def test_another_file_of_the_same_name_is_asked_for(here, tmp_path, monkeypatch):
    PARTS.build("own_part:one", {})
    other = tmp_path / "other"
    other.mkdir()
    (other / "own_part.py").write_text("raise SystemExit")
    monkeypatch.chdir(other)
    assert not is_known("own_part:one")
    with pytest.raises(UntrustedCodeError):
        require_trust("the run", ["own_part:one"], trust_code=False)


def test_what_data_name_is_not_remembered(here):
    with named_by_data(), pytest.raises(ConfigError, match="not taken from the working folder"):
        PARTS.build("own_part:one", {})
    assert not is_known("own_part:one")
    assert not user_cache().exists()


def test_of_an_installed_package_only_the_very_name_is_known(here):
    assert PARTS.build("json:dumps", {}, obj=1) == "1"
    assert is_known("json:dumps")
    assert not is_known("json:loads")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        '{"format": "fusemix.own_code", "version": 1}',
        '{"format": "x", "version": 1, "known": []}',
    ],
)
def test_a_list_that_cannot_be_read_costs_a_question(here, text):
    PARTS.build("own_part:one", {})
    assert is_known("own_part:one")
    (user_cache() / "own_code.json").write_text(text)
    assert not is_known("own_part:one")
    del sys.modules["own_part"]
    PARTS.build("own_part:one", {})
    assert json.loads((user_cache() / "own_code.json").read_text())["known"] == [[str(here / "own_part.py"), "one"]]


@pytest.mark.parametrize(
    "name", ["own_part", "own_part:", "encoders/own_part.py", "..own_part:x", "a b:c", ":x", "sys:exit"]
)
def test_only_names_of_code_in_files_can_be_known(here, name):
    assert not is_known(name)


def test_where_nothing_can_be_noted_all_goes_on(here, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert PARTS.build("own_part:one", {}) == 1
    assert not is_known("own_part:one")
