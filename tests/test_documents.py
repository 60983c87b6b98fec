import inspect
import re
from pathlib import Path

import pytest
import yaml
from PIL import Image
from test_guides import Block, blocks_of, commands_of, without_redirection

from fusemix.cli.loading import load_config
from fusemix.config import CacheConfig
from fusemix.datasets import DATASETS
from fusemix.encoders import ENCODERS
from fusemix.interfaces import Encoder

ROOT = Path(__file__).parents[1]
DOCUMENTS = [
    *(ROOT / "README.md", ROOT / "CONTRIBUTING.md"),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "docs" / "guides").glob("*.md")),
]
TABLE_ROW = re.compile(r"^\| (?P<names>`[a-z0-9_]+`(?:, `[a-z0-9_]+`)*) \|.*\| (?P<last>[^|]*) \|$", re.MULTILINE)


def blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", path.read_text(), flags=re.DOTALL)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_file_that_a_document_names_exists(path):
    text = path.read_text()
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", text)
    named = re.findall(r"`((?:fusemix|tests|docs|configs)/[\w/.]+)`", text)
    missing = [n for n in links if not (path.parent / n).exists()] + [n for n in named if not (ROOT / n).exists()]
    assert not missing


def test_the_tree_in_the_readme_is_the_tree():
    readme = (ROOT / "README.md").read_text()
    for folder in (p for p in (ROOT / "fusemix").iterdir() if p.is_dir() and p.name != "__pycache__"):
        assert f"  {folder.name}/ " in readme, f"README's tree lacks {folder.name}/"
    for module in (ROOT / "fusemix").glob("[a-z]*.py"):
        assert re.search(rf"\b{module.name}\b", readme), f"README's tree lacks {module.name}"


def test_every_command_in_the_readme_names_configs_and_scripts_that_are_there():
    commands = [line for block in blocks(ROOT / "README.md", "bash") for line in block.splitlines()]
    scripts = [line.split("#")[0].split()[1:3] for line in commands if line.startswith("python ")]
    assert len(scripts) == 3
    assert all((ROOT / script).is_file() and (ROOT / config).is_file() for script, config in scripts)


def test_the_config_in_the_readme_fits_its_schema_and_names_real_options(tmp_path):
    (tmp_path / "my_cache.yaml").write_text(blocks(ROOT / "README.md", "yaml")[0])
    config = load_config(CacheConfig, [str(tmp_path / "my_cache.yaml")])
    DATASETS.complete(config.dataset.name, config.dataset.options, split="train")
    for part in config.encoders.values():
        ENCODERS.complete(part.name, part.options)


@pytest.mark.parametrize("line", [x for b in blocks(ROOT / "docs/datasets.md", "yaml") for x in b.split("\ndataset:")])
def test_every_data_set_in_the_guide_has_real_options(line):
    given = yaml.safe_load(line if line.startswith("dataset:") else f"dataset:{line}")["dataset"]
    DATASETS.complete(given["name"], given["options"], split="test")


@pytest.mark.parametrize(
    ("document", "registry", "given"), [("encoders.md", ENCODERS, set()), ("datasets.md", DATASETS, {"split"})]
)
def test_the_tables_in_the_guides_list_every_part_with_all_its_options(document, registry, given):
    listed = {}
    for match in TABLE_ROW.finditer((ROOT / "docs" / document).read_text()):
        listed |= dict.fromkeys(re.findall(r"`(\w+)`", match["names"]), match["last"])
    assert set(registry.names()) <= listed.keys()
    for name in registry.names():
        options = inspect.signature(registry.factory(name)).parameters.keys() - given
        row = listed[name] + (listed["transformers_image"] if "the same with" in listed[name] else "")
        missing = [option for option in options if f"`{option}`" not in row]
        assert not missing, f"{document} does not name {missing} of {name}"


def test_the_encoder_of_ones_own_in_the_guide_works(tmp_path, monkeypatch):
    guide = ROOT / "docs/encoders.md"
    (tmp_path / "my_encoders.py").write_text(blocks(guide, "python")[0])
    monkeypatch.syspath_prepend(tmp_path)
    part = yaml.safe_load(blocks(guide, "yaml")[1])["encoders"]["colour"]
    encoder = ENCODERS.build(part["name"], {})
    assert isinstance(encoder, Encoder)
    red = encoder.encode(encoder.collate(encoder.prepare([Image.new("RGB", (8, 8), (255, 0, 0))])))
    assert red.tolist() == [[1.0, 0.0, 0.0]]


def test_commands_are_taken_apart_as_a_shell_would():
    text = "cd a && python train.py 'b={c: [d]}' \\\n    e=f  # why\nfusemix report x > y.tex\n"
    assert commands_of(text) == [
        ["cd", "a"],
        ["python", "train.py", "b={c: [d]}", "e=f"],
        ["fusemix", "report", "x", ">", "y.tex"],
    ]
    assert without_redirection(["fusemix", "report", "x", ">", "y.tex"]) == (["fusemix", "report", "x"], "y.tex")


def test_blocks_are_found_with_their_marks():
    text = "a\n```bash run\nls\n```\n```\nout\n```\n```yaml\n# my.yaml\na: 1\n```\n"
    assert blocks_of(text) == [
        Block("bash", True, "ls\n"),
        Block("", False, "out\n"),
        Block("yaml", False, "# my.yaml\na: 1\n"),
    ]
