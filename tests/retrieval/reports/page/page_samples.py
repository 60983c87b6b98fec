"""Small made-up pages of two modalities, with captions, ids and names that try to run as code."""

from functools import cache

import numpy as np
from PIL import Image

from fusemix.interfaces import Waveform
from fusemix.reports.page.data import Card, DirectionPage, FoundItem, PairScores, Points, Shown
from fusemix.reports.page.render import render_page

HOSTILE = """</script><script>window.ran = 1</script><img src="x" onerror="window.ran = 2">'"&amp; {{ 7 * 7 }} $x_1$"""
RATE = 16_000


def sine(hertz, seconds=1.0, rate=RATE, peak=0.5):
    samples = peak * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)
    return Waveform(samples.astype(np.float32), rate)


def medium(modality, number):
    if modality == "image":
        picture = Image.new("RGB", (300, 200), (40 * number, 90, 200 - 40 * number))
        return Shown(f"picture-{number}.jpg", picture, HOSTILE if number == 0 else f"scene{number}")
    return Shown(f"sound-{number}.wav", sine(300 + 100 * number, 1.5), HOSTILE if number == 0 else "")


def caption(number):
    words = ["a dog barks", "rain on a roof", "Two children play", HOSTILE, "ein Käfig mit Vögeln"][number]
    return Shown(f"{HOSTILE if number == 3 else 'caption'}#{number}", words, "")


def cards(queries, gallery):
    """Five queries: two of the best, one typical, two of the worst; each finds three items, the last nothing right."""
    kinds = ["best", "best", "typical", "worst", "worst"]
    made = []
    for place, kind in enumerate(kinds):
        found = [FoundItem(gallery((place + step) % 5), 0.9 - 0.1 * step, step == 0) for step in range(3)]
        made.append(Card(kind, queries(place), place + 1, found))
    missed = [found._replace(is_linked=False) for found in made[-1].found]
    right = FoundItem(gallery(2), 0.0123, is_linked=True)
    return [*made[:-1], Card("worst", queries(4), 813, missed, right)]


def report(modality):
    names = (f"{modality}_to_text", f"text_to_{modality}")
    figures = {"recall_at_1": 0.5123, "recall_at_5": 0.75, "mrr": 0.61234, "median_rank": 2.0, "mean_rank": 3.5}
    metrics = {f"{name}/{key}": value for name in names for key, value in figures.items()}
    metrics |= {"mean_recall": 0.6312, "recall_sum": 2.5246}
    return {
        "format": "fusemix.report",
        "version": 2,
        "protocol": {"name": "five", "about": f"Five items. {HOSTILE}", "folds": 1},
        "metrics": metrics,
        "intervals": {f"{names[0]}/recall_at_1": [0.4812, 0.5411], "recall_sum": [2.4, 2.6]},
        "chance": {f"{name}/recall_at_1": 0.2 for name in names},
        "counts": {name: {"queries": 5000, "gallery": 1000, "links": 5000, "tied_queries": 7} for name in names},
        "hubness": {name: {"skewness_at_10": 1.234, "over_retrieved": 0.04, "largest": 57} for name in names},
        "others": [{"name": "CCA", "kind": "baseline", "about": "A closed form.", "metrics": {**metrics, "mrr": 0}}],
        "indexes": [
            {
                "direction": names[0],
                "factory": "IVF64,Flat",
                "parameters": "nprobe=8",
                "exact_at_1": 0.98,
                "exact_at_10": 0.97,
                "metrics": {"recall_at_1": 0.499},
                "build_sec": 0.1,
                "search_ms_per_query": 0.02,
                "num_bytes": 1_500_000,
            }
        ],
        "widths": [{"dim": 64, "precision": "int8", "num_bytes": 1064, "metrics": {**metrics, "recall_sum": 1.5}}],
        "definitions": {"recall_at_k": f"A hit rate. {HOSTILE}"},
        "data": {
            "name": f"made_up/test {HOSTILE}",
            "revision": "1",
            "num_unusable": 1234,
            "encoders": {modality: ["seen"], "text": ["read", "said"]},
            "fingerprints": {"seen": {"model": HOSTILE}},
        },
        "model": {"run": "runs/a", "epoch": 4, "train": "made_up/train", "validation": "made_up/validation"},
        "environment": {"python": "3.11", "cuda": None},
    }


@cache
def page(modality):
    """A whole page of `image` or `audio` with text; drawn once."""
    return draw(modality, report(modality))


def draw(modality, described):
    """A whole page of any report."""
    generator = np.random.default_rng(0)
    ranks, links = generator.integers(1, 900, 200), np.ones(200, dtype=np.int64)
    directions = [
        DirectionPage(f"{modality}_to_text", ranks, links, 1000, cards(lambda n: medium(modality, n), caption)),
        DirectionPage(f"text_to_{modality}", ranks, links, 900, cards(caption, lambda n: medium(modality, n))),
    ]
    scores = PairScores(generator.normal(0.4, 0.1, 300), generator.normal(0, 0.1, 400))
    left, right = generator.standard_normal((2, 30, 8))
    labels = [f"{HOSTILE} {place}" for place in range(30)]
    points = Points(left, right, labels, labels, (modality, "text"))
    return render_page(described, directions, scores, points)
