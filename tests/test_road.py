"""What a newcomer types first, from pictures with captions to a page that searches them, ends well."""

import subprocess
import sys

import pytest
import torch
from road import Road, draw_pictures, walk
from tiny_run import save_models

from fusemix.cli import run as cli

FEW = ["optim.auto.epochs=2", "optim.auto.steps=4"]


class Forked:
    """A program whose errors stand among what it prints."""

    def __init__(self, program):
        self.stdout, self.send_signal, self._wait = program.stdout, program.send_signal, program.wait

    def communicate(self, timeout):
        left = self.stdout.read()
        self._wait(timeout)
        return left, left


@pytest.fixture
def road(tmp_path, monkeypatch, capfd, programs):
    """In this process, but for the server, which is ended from outside: starting each command would take a minute."""
    monkeypatch.chdir(tmp_path)

    class Here(Road):
        def _started(self, words):
            how = {"cwd": tmp_path, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
            return Forked(programs.start("-m", *words, **how))

        def run(self, words):
            capfd.readouterr()
            name, rest = (words[1], words[2:]) if words[0] == "fusemix" else (words[1].removesuffix(".py"), words[2:])
            monkeypatch.setattr(sys, "argv", [name, *rest])
            if name == "eval_retrieval":
                sys.argv.append("num_examples=1")
            code = 0
            try:
                cli.run(name)
            except SystemExit as error:
                code = error.code
            return code, *capfd.readouterr()

    return Here(tmp_path, show=False)


def test_the_newcomers_road_can_be_walked(tmp_path, road):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        save_models(tmp_path / "models")
    text = f"{{name: transformers_text, options: {{model: {tmp_path / 'models' / 'bert'}}}}}"
    image = "{name: hog, options: {size: 16, coarse: 4}}"
    pictures = tmp_path / "pictures"
    made = walk(road, pictures, draw_pictures(pictures), image, text, workers="0", steps=FEW)
    assert all(path.is_file() for path in made.values())
