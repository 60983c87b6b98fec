"""`make install`: uv is told what pip is set up with."""

import importlib.util
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "tools" / "packages.py"


@pytest.fixture(scope="module")
def packages():
    specification = importlib.util.spec_from_file_location("packages", SCRIPT)
    assert specification and specification.loader
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.fixture
def pip_set_up(tmp_path, monkeypatch):
    """Nothing but a configuration file says which indexes pip takes."""

    def write(text: str) -> Path:
        path = tmp_path / "pip.conf"
        path.write_text(text)
        monkeypatch.setenv("PIP_CONFIG_FILE", str(path))
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
        for name in [name for name in os.environ if name.startswith(("PIP_", "UV_")) and name != "PIP_CONFIG_FILE"]:
            monkeypatch.delenv(name)
        return path

    return write


def test_all_that_a_configuration_file_of_pip_says_is_said_to_uv(packages, pip_set_up):
    pip_set_up(
        "[global]\nindex-url = https://one.example/simple\nextra-index-url = https://two.example/simple\n"
        "    https://three.example/simple\nfind-links = /wheels\ntimeout = 99\n[install]\ntrusted-host = one.example\n"
    )
    said = packages.uv_settings(packages.pip_options())
    assert (
        said.items()
        >= {
            "UV_DEFAULT_INDEX": "https://three.example/simple",
            "UV_INDEX": "https://one.example/simple https://two.example/simple",
            "UV_FIND_LINKS": "/wheels",
            "UV_INSECURE_HOST": "one.example",
            "UV_HTTP_TIMEOUT": "99",
            "UV_INDEX_STRATEGY": "unsafe-best-match",
        }.items()
    )


def test_where_nothing_is_set_in_pip_uv_keeps_its_own_settings(packages, pip_set_up, monkeypatch):
    pip_set_up("")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)  # with it, pip reads no other file either
    assert packages.uv_settings(packages.pip_options()) == {"UV_INDEX_STRATEGY": "unsafe-best-match"}


def small_wheel(folder: Path) -> None:
    folder.mkdir()
    with zipfile.ZipFile(folder / "fusemix_probe-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("fusemix_probe.py", "WORTH = 7\n")
        about = "fusemix_probe-1.0.dist-info"
        wheel.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: fusemix-probe\nVersion: 1.0\n")
        wheel.writestr(
            f"{about}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{about}/RECORD", "")


@pytest.mark.parametrize("by", ["uv", "pip"])
def test_a_wheel_is_found_where_pip_finds_it_and_pip_stands_in_for_uv(by, pip_set_up, tmp_path, monkeypatch):
    pytest.importorskip("uv")
    small_wheel(tmp_path / "wheels")
    pip_set_up(f"[global]\nno-index = true\nfind-links = {tmp_path / 'wheels'}\n")
    if by == "pip":
        monkeypatch.setenv("UV_FIND_LINKS", str(tmp_path / "nothing"))  # what is set for uv itself wins, and fails
    (tmp_path / "wanted.lock").write_text("fusemix-probe==1.0\n")
    done = subprocess.run(
        [sys.executable, SCRIPT, "install", "--target", tmp_path / "there", "--requirement", tmp_path / "wanted.lock"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert (tmp_path / "there" / "fusemix_probe.py").read_text() == "WORTH = 7\n"
    assert ("pip does" in done.stderr) == (by == "pip")
