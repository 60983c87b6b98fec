import json

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console

from fusemix.interfaces import Waveform
from fusemix.retrieval.metrics import measure
from fusemix.retrieval.reports.picture import Example, Found, draw_examples
from fusemix.retrieval.reports.report import markdown, report_data, table


@pytest.fixture
def directions():
    links = np.column_stack([np.arange(8)] * 2)
    return measure(torch.eye(8), torch.eye(8).roll(1, 0)[:, :], links, ("image", "text"), ks=[1, 5])


@pytest.fixture
def report(directions):
    data = {
        "name": "made_up/test",
        "revision": "1",
        "num_unusable": 3,
        "encoders": {"image": ["dino"], "text": ["bge"]},
    }
    model = {"run": "runs/a", "checkpoint": "best", "epoch": 4, "train": "made_up/train", "validation": "made_up/val"}
    return report_data(directions, data=data, model=model, environment={"python": "3"})


def test_the_report_holds_every_figure_with_what_chance_gives_and_the_counts(report):
    assert json.loads(json.dumps(report)) == report
    assert {
        "text_to_image/recall_at_1",
        "image_to_text/recall_at_5",
        "text_to_image/median_rank",
        "mean_recall",
    } <= set(report["metrics"])
    assert report["chance"]["text_to_image/recall_at_1"] == pytest.approx(1 / 8)
    assert report["counts"]["image_to_text"]["queries"] == 8


def test_markdown_and_table_show_the_same_figures_as_the_report(directions, report):
    text = markdown(directions, report, "examples.png")
    console = Console(width=80, record=True, quiet=False, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    console.print(table(directions, "made_up/test"))
    shown = console.export_text()
    for direction in directions:
        for k in (1, 5):
            figure = f"{100 * report['metrics'][f'{direction.name}/recall_at_{k}']:.1f}"
            assert figure in text
            assert figure in shown
    assert "(examples.png)" in text
    assert "made_up/val" in text
    assert "…" not in shown, "the table must fit into 80 columns"


def test_the_picture_takes_pictures_sounds_and_texts(tmp_path):
    picture = Image.new("RGB", (40, 30), "red")
    sound = Waveform(np.sin(np.arange(8000) / 9).astype(np.float32), 8000)
    found = [Found("a caption with $ signs and _ under^scores", 0.5, True), Found(sound, 0.4, False)]
    examples = [
        Example(picture, found, 1),
        Example("a text", [Found(picture, 0.9, False), Found(picture, 0.1, True)], 2),
    ]
    draw_examples(tmp_path / "examples.png", examples, "title")
    drawn = np.asarray(Image.open(tmp_path / "examples.png").convert("RGB"))
    green, red = (drawn == (0x1A, 0x8F, 0x3C)).all(axis=2), (drawn == (255, 0, 0)).all(axis=2)
    assert green.sum() > 100, "linked items have a green frame"
    assert red.sum() > 1000, "the picture itself is drawn"
