"""The documentation site: all pages are in it, and all that they lead to."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import fusemix

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs").rglob("*.md"))
SETTINGS = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
ELSEWHERE = re.compile(
    r"""<(?:script|img|iframe|source)[^>]+src=["']?(?:https?:)?//|<link[^>]+href=["']?(?:https?:)?//(?!zensical)"""
)


def files_of(nav) -> list[str]:
    if isinstance(nav, str):
        return [nav]
    return [file for one in (nav.values() if isinstance(nav, dict) else nav) for file in files_of(one)]


def test_every_page_is_in_the_navigation_once():
    assert sorted(files_of(SETTINGS["nav"])) == sorted(str(page.relative_to(ROOT / "docs")) for page in PAGES)


def test_a_decision_is_listed_by_its_title():
    (listed,) = (one["Decisions"] for one in SETTINGS["nav"] if "Decisions" in one)
    titles = {path: title for entry in listed for title, path in entry.items()}
    for path, title in titles.items():
        assert (ROOT / "docs" / path).read_text().startswith(f"# {title}\n")


def test_pages_link_to_pages_and_to_nothing_else_in_the_repository():
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text()):
            assert (page.parent / target).resolve().is_relative_to(ROOT / "docs"), f"{page.name} links to {target}"


def test_the_reference_names_every_public_name_by_its_module():
    named = re.findall(r"^::: (\S+)$", (ROOT / "docs/api.md").read_text(), re.MULTILINE)
    public = {f"{getattr(fusemix, name).__module__}.{name}" for name in fusemix.__all__ if name != "__version__"}
    assert set(named) == public


@pytest.fixture
def copied(tmp_path):
    for name in ("docs", "fusemix", "tools"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "mkdocs.yml", tmp_path)
    return tmp_path


def built(folder: Path) -> subprocess.CompletedProcess:
    pytest.importorskip("zensical")
    command = [sys.executable, "-m", "zensical", "build", "--clean", "--strict"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_the_site_is_built_without_a_broken_link_and_loads_nothing_from_other_hosts(copied):
    done = built(copied)
    assert done.returncode == 0, done.stdout + done.stderr
    pages = {path: path.read_text() for path in (copied / "site").rglob("*.html")}
    assert len(pages) >= len(PAGES)
    assert [str(path) for path, text in pages.items() if ELSEWHERE.search(text)] == []
    assert [str(path) for path, text in pages.items() if "```" in text] == [], "a block of code is none on the site"
    styles = [path.read_text() for path in (copied / "site").rglob("*.css")]
    assert not any(re.search(r"url\([\"']?(?:https?:)?//|@import", style) for style in styles)
    assert "Cosines between embeddings" in (copied / "site" / "api.html").read_text()


def test_a_link_that_leads_nowhere_fails_the_build(copied):
    for page, wrong in (("recipes.md", "[a](nowhere.md)"), ("training.md", "[a](recipes.md#nowhere)")):
        with (copied / "docs" / page).open("a") as file:
            file.write(f"\n{wrong}\n")
    done = built(copied)
    assert done.returncode != 0
    for wrong in ("recipes.md", "training.md"):
        assert wrong in done.stdout + done.stderr
