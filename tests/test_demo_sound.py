"""The road of `make demo-sound` on few characters, with a tiny text encoder: from spoken names to a search by sound."""

import re
import shlex

import pytest

pytest.importorskip("espeakng_loader", reason="espeakng-loader, of the extra demo, is not installed")

import soundfile
from test_guides import ROOT
from tiny_run import save_models

from fusemix.cli.called import run_command
from fusemix.datasets import glyphs
from fusemix.datasets.espeak import speak

SMALLER = {
    "cache_features": [f"encoders.{name}.options.model=models/bert" for name in ("minilm", "minilm_words")],
    "train": ["optim.batch_size=8", "optim.max_epochs=1"],
    "eval_retrieval": ["num_examples=1"],
}


def commands():
    recipe = re.search(r"^demo-sound: install\n(.*?)\n\n", (ROOT / "Makefile").read_text(), re.MULTILINE | re.DOTALL)
    for line in recipe[1].replace("\\\n", " ").splitlines():
        program, *rest = shlex.split(line.strip().replace("$(BIN)/", ""))
        if program == "python" and rest[0].endswith(".py"):
            yield rest[0].removesuffix(".py"), rest[1:]
        elif program == "fusemix":
            yield rest[0], rest[1:]
        elif program == "python":
            yield "-c", rest[1:]


def test_a_spoken_name_can_be_searched_by_when_the_demo_has_run(tmp_path, monkeypatch, capsys):
    characters = glyphs.named_code_points()[::100]
    monkeypatch.setattr(glyphs, "named_code_points", lambda: characters)
    monkeypatch.setattr(glyphs, "HELD_OUT", 12)
    monkeypatch.chdir(tmp_path)
    save_models(tmp_path / "models")
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    for command, words in commands():
        if command == "-c":
            exec(words[0], {"speak": speak, "soundfile": soundfile})
        else:
            few = ["num_workers=0"] if command == "cache_features" else []
            run_command(command, [*words, *SMALLER.get(command, []), *few])
        if command != "search":
            capsys.readouterr()
    assert re.search(r"/image/U\+[0-9A-F]{4}", capsys.readouterr().out)
    for name in ("image_text", "audio_text", "image_audio"):
        assert (tmp_path / "reports" / "spoken_glyphs" / name / "report.html").is_file()
