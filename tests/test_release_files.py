"""Files beside the package that nothing here can run: Dockerfile, citation, release. What they name is there."""

import re
import tomllib
from pathlib import Path

import yaml

import fusemix

ROOT = Path(__file__).parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")


def stages() -> dict[str, str]:
    """Name of a stage -> its lines."""
    parts = re.split(r"^FROM \S+ AS (\S+)$", DOCKERFILE, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_all_that_the_dockerfile_copies_is_there_and_nothing_else_is_sent_to_docker():
    copied = {
        word for line in re.findall(r"^COPY (?!--from)(.*)$", DOCKERFILE, re.MULTILINE) for word in line.split()[:-1]
    }
    sent = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert copied == sent
    assert [name for name in copied if not (ROOT / name).exists()] == []
    for stage in re.findall(r"COPY --from=(\S+)", DOCKERFILE):
        assert stage in stages()


def test_both_kinds_of_image_take_the_locked_versions_and_run_as_nobody_special():
    assert {"cpu", "cuda"} <= stages().keys()
    for kind in ("cpu", "cuda"):
        assert "--constraints requirements.lock" in stages()[f"build-{kind}"]
        assert re.search(rf"^FROM runtime AS {kind}$", DOCKERFILE, re.MULTILINE)
    assert "USER 1000:1000" in stages()["runtime"]
    assert 'ENTRYPOINT ["fusemix"]' in stages()["runtime"]
    assert "VOLUME /cache" in stages()["runtime"]
    assert (ROOT / "requirements.lock").read_text().count("\nuv==") == 1


def test_the_citation_is_of_this_version_and_of_the_paper():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    stated = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert cited["version"] == stated["version"] == fusemix.__version__
    assert cited["license"] == stated["license"]
    (paper,) = cited["references"]
    assert "2312.10144" in paper["url"]
    assert len(paper["authors"]) == 8


def test_a_release_is_built_checked_and_published_without_secrets():
    text = (ROOT / ".github/workflows/release.yml").read_text()
    jobs = yaml.safe_load(text)["jobs"]
    steps = " ".join(str(step) for step in jobs["build"]["steps"])
    assert "-m build" in steps
    assert "twine check --strict" in steps
    assert jobs["publish"]["permissions"] == {"id-token": "write"}
    assert "secrets." not in text
