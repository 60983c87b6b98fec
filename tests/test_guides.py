"""What documents tell people to type: run where nothing need be downloaded, else read as the command would read it.

Blocks marked ```bash run or ```python run are run, in order and guide by guide, in a folder with small material.
A block whose first line is `# name.yaml` or `# name.py` is that file.
"""

import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from guide_material import furnish, save_two_towers
from programs import Programs
from tiny_run import save_models

from fusemix import config
from fusemix.cli import run as cli
from fusemix.cli.loading import load_config
from fusemix.cli.table import COMMANDS
from fusemix.config import CacheConfig, TrainConfig
from fusemix.datasets import DATASETS, glyphs
from fusemix.encoders import ENCODERS
from fusemix.errors import FusemixError
from fusemix.fusion.adapters import ADAPTERS
from fusemix.fusion.losses import LOSSES
from fusemix.fusion.mixup import MIXUPS

ROOT = Path(__file__).parents[1]
GUIDES = sorted((ROOT / "docs" / "guides").glob("*.md"))
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")), *GUIDES]
BLOCK = re.compile(r"^```(?P<language>\w*)(?P<run> run)?\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
NAME = re.compile(r"# (?P<name>[\w./]+\.(?:yaml|py))$", re.MULTILINE)
LOOP = re.compile(r"for (?P<variable>\w+) in (?P<words>[^;\n]+);? *do\b(?P<body>.*?)\bdone\b", re.DOTALL)
SCRIPTS = {"cache_features.py", "train.py", "eval_retrieval.py"}
LAUNCHERS = {"srun", "torchrun", "nice"}
OTHER_PROGRAMS = {
    *("cd", "cp", "curl", "export", "git", "hf", "img2dataset", "jq", "ls", "mkdir", "pip", "rsync", "sbatch"),
    *("awk", "paste", "xargs", "source", "squeue", "tail", "unzip"),
}
SMALL_DEMO = """
python cache_features.py configs/cache/glyphs.yaml splits=[validation] num_workers=0 \
    encoders.minilm.options.model=models/bert encoders.minilm_words.options.model=models/bert
python train.py configs/train/glyphs.yaml train=latents/glyphs/validation validation=null holdout=0.2 \
    optim.batch_size=16 optim.max_epochs=2
fusemix index --model runs/glyphs --latents latents/glyphs --out indexes/glyphs
"""
"""What `make demo` does, with fewer characters and a tiny text encoder."""
SMALLER = {"eval_retrieval": ["num_examples=1"]}
"""Command -> settings that make it shorter."""
PROMISED = {
    "search_my_photos": ["indexes/glyphs/index.json", "indexes/photos/index.json", "reports/captioned/report.html"],
    "align_two_encoders": ["reports/own/report.html", "reports/comparison/compare.md", "table.tex"],
    "specialise_a_clip": ["reports/mine/report.html", "runs/frozen/checkpoints/best.ckpt"],
    "add_an_encoder": ["latents/photos/train/image/colours/manifest.json", "indexes/colours/index.json"],
    "add_a_data_set": ["runs/shop/checkpoints/best.ckpt", "indexes/shop/index.json"],
}


class Block(NamedTuple):
    language: str
    is_run: bool
    text: str


def blocks_of(text: str) -> list[Block]:
    return [Block(found["language"], bool(found["run"]), found["text"]) for found in BLOCK.finditer(text)]


def commands_of(text: str) -> list[list[str]]:
    """Words of each command; loops are unrolled, pipes taken apart, and a job of an array is its third."""
    commands: list[list[str]] = [[]]
    text = text.replace("\\\n", " ").replace("$SLURM_ARRAY_TASK_ID", "3")
    for line in LOOP.sub(_unrolled, text).splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        for word in lexer:
            commands[-1:] = [commands[-1], []] if word and set(word) <= set(";&|") else [[*commands[-1], word]]
        commands.append([])
    return [words for words in commands if words]


def _unrolled(loop: re.Match[str]) -> str:
    return "\n".join(loop["body"].replace(f"${loop['variable']}", word) for word in loop["words"].split())


def without_redirection(words: list[str]) -> tuple[list[str], str | None]:
    return (words[: words.index(">")], words[words.index(">") + 1]) if ">" in words else (words, None)


def fusemix_command(words: list[str]) -> tuple[str, list[str]] | None:
    """Name and arguments, where these words call fusemix in one of its ways."""
    program, *rest = words
    if program == "python" and rest[0] in SCRIPTS:
        program, *rest = rest
    if program in SCRIPTS:
        return program.removesuffix(".py"), rest
    return (rest[0].replace("-", "_"), rest[1:]) if program == "fusemix" else None


def started(words: list[str]) -> list[str]:
    """The command that a launcher starts."""
    ours = [place for place, word in enumerate(words) if word in {"python", "fusemix", *SCRIPTS}]
    return words[ours[0] :] if ours else [word for word in words[1:] if not word.startswith("-")]


def check(words: list[str]) -> None:
    """Read a command as it would be read; raises where it is wrong."""
    words, _ = without_redirection(words)
    if words[0] in LAUNCHERS:
        words = started(words)
    if called := fusemix_command(words):
        check_settings(*called)
    elif words[:3] == ["python", "-m", "pytest"]:
        assert all(Path(word).is_file() for word in words[3:] if not word.startswith("-")), words
    elif words[:2] == ["python", "-c"]:
        compile(words[2], "-c", "exec")
    elif words[0] == "python":
        assert Path(words[1]).is_file() or (ROOT / words[1]).is_file(), words
    elif words[0] == "make":
        targets = (ROOT / "Makefile").read_text()
        assert all(re.search(rf"^{target}:", targets, re.MULTILINE) for target in words[1:] if "=" not in target), words
    else:
        assert words[0].rpartition("/")[2] in OTHER_PROGRAMS, f"nobody knows what {words[0]} is"


def check_settings(command: str, arguments: list[str]) -> None:
    assert command in COMMANDS, f"fusemix has no command {command}"
    schema = COMMANDS[command].schema
    if "--help" in arguments:
        return
    settings = load_config(getattr(config, schema), arguments)
    if isinstance(settings, CacheConfig):
        DATASETS.complete(settings.dataset.name, settings.dataset.options, split=settings.splits[0])
        for part in settings.encoders.values():
            ENCODERS.complete(part.name, part.options)
    if isinstance(settings, TrainConfig):
        for part in (settings.adapter, *settings.adapters.values()):
            ADAPTERS.complete(part.name, part.options, input_dim=4, output_dim=2)
        LOSSES.complete(settings.loss.name, settings.loss.options)
        MIXUPS.complete(settings.mixup.name, settings.mixup.options)


def write_named(block: Block, folder: Path, more: str = "") -> bool:
    """Write a block that is a file, with more settings where it is a config of caching."""
    named = NAME.match(block.text)
    if named:
        (folder / named["name"]).write_text(block.text + (more if "\nsplits:" in block.text else ""))
    return bool(named)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder to work in, with the repository's configs."""
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    for name in [n for n, m in sys.modules.items() if str(getattr(m, "__file__", "")).startswith(str(tmp_path))]:
        del sys.modules[name]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    save_models(folder)
    save_two_towers(folder / "siglip", folder / "bert")
    return folder


def run(
    words: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, programs: Programs
) -> None:
    """Run a command in this process, except for tests of the reader's own."""
    words, into = without_redirection(words)
    if words == ["make", "demo"]:
        characters = glyphs.named_code_points()[::12]
        monkeypatch.setattr(glyphs, "named_code_points", lambda: characters)
        monkeypatch.setattr(glyphs, "HELD_OUT", 60)
        for small in commands_of(SMALL_DEMO):
            run(small, capsys, monkeypatch, programs)
    elif called := fusemix_command(words):
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["fusemix", *called[1], *SMALLER.get(called[0], [])])
        cli.run(called[0])
        if into:
            Path(into).write_text(capsys.readouterr().out)
    elif words[:3] == ["python", "-m", "pytest"]:
        done = programs.run(*words[1:])
        assert done.returncode == 0, done.stdout + done.stderr
    elif words[0] == "python":
        runpy.run_path(words[1], run_name="__main__")
    else:
        assert words[0] in ("cd", "mkdir", "source"), f"{words[0]} cannot be run here"
        subprocess.run(words, check=True)


@pytest.mark.parametrize("name", PROMISED)
def test_the_commands_of_a_guide_do_what_it_says(name, here, models, capsys, monkeypatch, programs):
    furnish(here, models)
    for block in blocks_of((ROOT / "docs" / "guides" / f"{name}.md").read_text()):
        if write_named(block, here, "num_workers: 0\n") or not block.is_run:
            continue
        if block.language == "python":
            exec(compile(block.text, name, "exec"), {})
        for words in commands_of(block.text) if block.language == "bash" else ():
            run(words, capsys, monkeypatch, programs)
    missing = [path for path in PROMISED[name] if not (here / path).exists()]
    assert not missing


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.stem)
def test_every_command_in_a_document_is_one_that_would_be_understood(path, here):
    blocks = blocks_of(path.read_text())
    for block in blocks:
        write_named(block, here)
    for block in blocks:
        for words in commands_of(block.text) if block.language == "bash" else ():
            try:
                check(words)
            except FusemixError as error:
                pytest.fail(f"{path.name}: {' '.join(words)}\n{error}")


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.stem)
def test_every_piece_of_python_in_a_document_is_python(path):
    for block in blocks_of(path.read_text()):
        if block.language == "python":
            compile(block.text, path.name, "exec")


def test_every_guide_says_what_it_needs_and_where_it_leads():
    assert len(GUIDES) == 9
    for path in GUIDES:
        text = path.read_text()
        for heading in ("## What you need", "## When it goes wrong", "## Where to go next"):
            assert heading in text, f"{path.name} has no {heading!r}"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("python train.py configs/train/flickr30k.yaml optim.learning=1", "there is no setting 'optim.learning'"),
        ("python train.py configs/train/flickr31k.yaml", "there is no config file"),
        ("fusemix train configs/train/flickr30k.yaml adapter.options.depth=2", "it has no option 'depth'"),
        (
            "srun --ntasks-per-node=8 python cache_features.py configs/cache/coco.yaml device=2",
            "there is no setting 'device'",
        ),
        (
            "torchrun --nproc-per-node 2 train.py configs/train/flickr30k.yaml devises=2",
            "there is no setting 'devises'",
        ),
        ("fusemix check configs/cache/coco.yaml encoders.dinov2.options.pool=cls", "it has no option 'pool'"),
        ("fusemix check configs/cache/coco.yaml dataset.options.folder=x", "it has no option 'folder'"),
        ('fusemix search "a dog" --index x --number 3', "there is no option '--number'"),
        (
            "ls | fusemix report --form latex reports/a > table.tex",
            "no option '--form'. Did you mean 'format'",
        ),
        ("for a in 1 2; do\n fusemix searhc $a\ndone", "fusemix has no command searhc"),
        ("make dmeo", "dmeo"),
        ("python tarin.py", "tarin.py"),
        ("frobnicate now", "nobody knows what frobnicate is"),
    ],
)
def test_a_wrong_line_in_a_guide_would_be_noticed(line, message, here):
    with pytest.raises((FusemixError, AssertionError), match=re.escape(message)):
        for words in commands_of(line):
            check(words)
