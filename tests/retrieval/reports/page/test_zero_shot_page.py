"""The page of a zero-shot report, and what is counted for it."""

from collections import defaultdict
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from page_samples import HOSTILE, medium
from torch.nn import functional as F

from fusemix.reports.classes.report import report_data
from fusemix.reports.page.data import Card, FoundItem, Shown
from fusemix.reports.page.zero_shot import WORST, confusion_table, render_zero_shot
from fusemix.retrieval.zero_shot import measure_classes

NUM_CLASSES = 30
SEEN = [{"set": "s", "use": "trained on", "shared": {}, "note": "12 of 40 were trained on <b>"}]


@pytest.fixture(scope="module")
def measured():
    generator = torch.Generator().manual_seed(0)
    classes = F.normalize(torch.randn(NUM_CLASSES, 8, generator=generator), dim=1)
    labels = np.arange(300) % (NUM_CLASSES - 1)  # the last class has no item
    items = F.normalize(classes[labels] + 0.35 * torch.randn(300, 8, generator=generator), dim=1)
    return measure_classes(items, classes, labels), (items @ classes.T).argmax(dim=1).numpy(), labels


class Texts(HTMLParser):
    """Texts of a page by the element that holds them."""

    def __init__(self):
        super().__init__()
        self.of, self.open = defaultdict(list), []

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        self.of[tag].append("")

    def handle_endtag(self, tag):
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data):
        if self.open:
            self.of[self.open[-1]][-1] += data


WORDS = [HOSTILE, *(f"class {place}" for place in range(1, NUM_CLASSES))]


def test_rows_of_the_confusion_table_count_every_item_of_the_worst_classes_once(measured):
    found, nearest, labels = measured
    table = confusion_table(found, WORDS)
    accuracy = [(nearest[labels == place] == place).mean() for place in range(NUM_CLASSES - 1)]
    assert len(table.rows) == min(WORST, sum(share < 1 for share in accuracy)) > 3
    assert [row.name for row in table.rows] == [
        WORDS[place] for place in np.argsort(accuracy, kind="stable")[: len(table.rows)]
    ]
    for row in table.rows:
        own = WORDS.index(row.name)
        taken = nearest[labels == own]
        assert sum(row.counts) == row.num_items == len(taken)
        assert table.columns[row.own] == row.name
        expected = [int((taken == WORDS.index(column)).sum()) for column in table.columns]
        assert row.counts == [*expected, len(taken) - sum(expected)]


def test_where_nothing_is_confused_there_is_no_row():
    classes = torch.eye(4)
    assert confusion_table(measure_classes(classes, classes, np.arange(4)), list("abcd")).rows == []


@pytest.fixture(scope="module")
def page(measured):
    found = measured[0]
    names = [f"class-{place}" for place in range(NUM_CLASSES)]
    data = {"name": "made_up/test", "templates": [], "num_unusable": 0, "encoders": {}}
    report = report_data(found, names, WORDS, data=data, model={"run": "runs/a"}, seen=SEEN, environment={})
    wrong = FoundItem(Shown("class-1", "class 1", ""), 0.9, is_linked=False)
    right = FoundItem(Shown("class-0", HOSTILE, ""), 0.1, is_linked=True)
    cards = [Card("best", medium("audio", 1), 1, [right, wrong]), Card("worst", medium("audio", 0), 17, [wrong], right)]
    return render_zero_shot(report, confusion_table(found, WORDS), cards, "audio")


def test_what_the_run_has_seen_stands_under_the_title(page):
    assert page.index("<h1>") < page.index("12 of 40 were trained on &lt;b&gt;") < page.index("</header>")


def test_the_page_names_run_and_set_and_shows_every_class_with_items(page):
    assert "<title>a on made_up/test · zero-shot</title>" in page
    for place in range(1, NUM_CLASSES - 1):
        assert f">class {place}</th>" in page
    assert f">class {NUM_CLASSES - 1}</th>" not in page, "it has no items"
    assert '<details class="long"' not in page, "few classes are not folded away"


def test_an_item_whose_class_is_not_among_the_nearest_shows_it_with_its_rank(page):
    card = page[page.rindex('<article class="card"') :]
    assert "own class at rank <strong>17</strong> of 30" in card
    assert card.index("class 1<") < card.index('<span class="place">rank 17</span>') < card.index("✓ own class")


def test_hostile_names_stay_text_on_the_page(page):
    assert HOSTILE not in page
    assert page.count("<script") == 2


@pytest.mark.parametrize(
    "name", ["cup | mug", r"_ * [ ] < > & % $ # \ { }", "{{ 7 * 7 }} &lt;b&gt;", "<b>[red]</b>", "שלום"]
)
def test_a_class_is_read_back_letter_for_letter_from_table_confusions_and_cards(measured, name):
    found, words = measured[0], [name, *WORDS[1:]]
    data = {"name": name, "templates": [], "num_unusable": 0, "encoders": {}}
    report = report_data(found, words, words, data=data, model={"run": "runs/a"}, seen=[], environment={})
    card = Card("worst", medium("audio", 1), 1, [FoundItem(Shown("class-0", name, ""), 0.9, is_linked=True)])
    texts = Texts()
    texts.feed(render_zero_shot(report, confusion_table(found, words), [card], "audio"))
    assert texts.of["h1"] == [f"Zero-shot classification on {name}"]
    assert texts.of["th"].count(name) >= 1
    assert name in texts.of["title"][0]
    assert name in texts.of["p"]
