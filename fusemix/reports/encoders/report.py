"""The report on encoders: ranking.json for programs, table.md and tables on the screen for people.

Place in the flow: scores of every pair of stores, as plain data -> tables, markdown.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import RenderableType
from rich.table import Column
from rich.text import Text

from fusemix.disk.discarding import Owned, says
from fusemix.tables import NOTHING, markdown_table, markdown_text, metric_label, percent, spoken, terminal_table

FORMAT, VERSION = "fusemix.encoder_ranking", 1
FILE, MARKDOWN, PICTURE, DRAWING = "ranking.json", "table.md", "ranking.png", "ranking.svg"
RANKING = Owned(
    "a ranking of encoders", lambda folder: says(folder / FILE, FORMAT, VERSION), (FILE, MARKDOWN, PICTURE, DRAWING)
)
RECALL, CKA, NEIGHBOURS = "mean_recall", "cka", "mutual_neighbours"
DEPTHS = (1, 5, 10)
NAME_WIDTH = 17
"""Columns of the name of a store on the screen; a longer one goes on in the next line."""
DEFINITIONS = {
    "pairs": "Links drawn at random, no two of which share an item.",
    "mean_recall": "Recall at 1, 5 and 10, both ways, of a closed form (regularised CCA of at most 384 principal "
    "components a side), averaged. Pairs are cut into five folds: one chooses the ridge, and each of the others is a "
    "gallery, asked about by maps of all folds but it.",
    "cka": "Linear centred kernel alignment (Kornblith et al. 2019) with the unbiased HSIC (Song et al. 2012): 1 for "
    "the same geometry, 0 for none in common, perhaps a little less.",
    "mutual_neighbours": "Mean share of the k nearest neighbours by cosine that both sides have in common (Huh et al. "
    "2024).",
    "diagnosis": "Regime of the phase diagram of Kamai et al. 2026 (arXiv:2606.11190): align or predict where the "
    "separation of that way is above 1. Components and regressions are fitted on a random half of the pairs and "
    "measured on the other, for 50 halves: the regime of most of them, medians, and the range of 95 % of them.",
    "separation": "Smallest value of a component that labels call signal over the largest one of a nuisance component; "
    "null: no nuisance has any. A minimum over a maximum hangs on two components.",
    "recovered": "How many signal components lie above every nuisance component (proposition 3.2), of how many there "
    "are.",
    "intervals": "95 %. Of recall by the bootstrap over held-out pairs, maps and galleries as they are; of CKA and "
    "neighbours by the jackknife over pairs.",
    "chance": "What latents that have nothing to do with one another have on average.",
}


def report_data(found: Mapping[str, Any], **about: Any) -> dict[str, Any]:
    """Everything found, as plain data for ranking.json.

    Args:
        found: as wiring/ranking/plain.py gives it.
        **about: more of it: settings, seconds, environment.
    """
    return {"format": FORMAT, "version": VERSION, **found, "definitions": DEFINITIONS, **about}


def identity_of(report: Mapping[str, Any]) -> dict[str, Any]:
    """What a ranking is one of, from its file."""
    found = report.get("identity")
    return dict(found) if isinstance(found, Mapping) else {}


# Tables


def tables(report: Mapping[str, Any]) -> Iterator[RenderableType]:
    """What `fusemix rank-encoders` prints; 80 columns do."""
    names = [_name(word) for word in report["modalities"]]
    yield terminal_table(_title(report), [*names, *_heads(report)], [*_rows(report)])
    arrows = [f"{arrow} {metric_label(f'recall_at_{k}')}" for arrow in ("→", "←") for k in DEPTHS]
    title = f"recall of held-out pairs, % (gallery of {report['counts']['gallery']:,})"
    yield terminal_table(title, [*names, *arrows], [*_recall_rows(report)])
    if report["ranking"][0]["diagnosis"]:
        title = "separation, above 1 where all signal comes first; signal components that do so"
        heads = ["regime", "align", "predict →", "predict ←"]
        yield terminal_table(title, [*names, *heads], [*_diagnosis_rows(report)])
    for note in notes(report):
        yield Text(note, style="dim")


def _name(word: str) -> Column:
    return Column(Text(word), overflow="fold", max_width=NAME_WIDTH)


def _title(report: Mapping[str, Any]) -> str:
    return f"encoders on {report['latents']['name']}, {report['counts']['pairs']:,} pairs (±: half of 95 %)"


def _heads(report: Mapping[str, Any]) -> list[str]:
    return ["recall, %", "CKA", f"{report['settings']['k']}-NN, %", "regime"]


def _rows(report: Mapping[str, Any]) -> Iterator[list[str]]:
    for each in report["ranking"]:
        recall, cka, near = (_with_reach(each, name) for name in (RECALL, CKA, NEIGHBOURS))
        yield [each["left"], each["right"], recall, cka, near, _regime(each["diagnosis"])]


def _with_reach(each: Mapping[str, Any], name: str) -> str:
    value, (low, high) = each["figures"][name], each["intervals"][name]
    reach = (high - low) / 2
    return f"{_unsigned(value)}±{reach:.2f}" if name == CKA else f"{percent(value)}±{percent(reach)}"


def _unsigned(value: float) -> str:
    """Two decimals, without the sign of what is nothing."""
    text = f"{value:.2f}"
    return text.removeprefix("-") if float(text) == 0 else text


def _regime(diagnosis: Mapping[str, Any] | None) -> str:
    return diagnosis["regime"] if diagnosis else NOTHING


def _recall_rows(report: Mapping[str, Any]) -> Iterator[list[str]]:
    keys = [f"{direction}/recall_at_{k}" for direction in report["directions"] for k in DEPTHS]
    for each in report["ranking"]:
        yield [each["left"], each["right"], *(percent(each["figures"][key]) for key in keys)]


def _diagnosis_rows(report: Mapping[str, Any]) -> Iterator[list[str]]:
    for each in report["ranking"]:
        found = each["diagnosis"]
        share = f"{found['regime']} {found['shares'][found['regime']]:.0%}"
        yield [each["left"], each["right"], share, *map(_way, found["ways"].values())]


def _way(way: Mapping[str, Any]) -> str:
    separation = way["separation"]["median"]
    recovered, signal = (int(way[name]["median"]) for name in ("recovered", "signal"))
    return f"{'∞' if separation is None else f'{separation:.2f}'} {recovered}/{signal}"


def notes(report: Mapping[str, Any]) -> list[str]:
    """What a reader has to know beside the figures."""
    chance, (left, right) = report["chance"], report["modalities"]
    found = [
        f"By chance: recall {percent(chance[RECALL])} %, CKA 0, {report['settings']['k']}-NN "
        f"{percent(chance[NEIGHBOURS])} %. → from {left} to {right}, ← back."
    ]
    if report["why_no_diagnosis"]:
        found.append(f"No diagnosis: {report['why_no_diagnosis']}.")
    else:
        found.append(
            f"The diagnosis takes for signal what explains {report['labels']['about']}; a share says in how many of "
            "the random halves it came out so."
        )
    if len(report["ranking"]) == 1:
        found.append("There is one store a side, so nothing to compare: add another with cache_features or import.")
    for stores in report["stores"].values():
        found += [
            f"{store['name']}: {store['constant_dims']:,} of {store['dim']:,} dimensions never change and tell nothing."
            for store in stores
            if store["constant_dims"]
        ]
    return found


def markdown(report: Mapping[str, Any]) -> str:
    """table.md: the same tables, with the picture and what the figures are."""
    names = report["modalities"]
    recalls = [
        f"{spoken(direction)} {metric_label(f'recall_at_{k}')}" for direction in report["directions"] for k in DEPTHS
    ]
    parts: list[Sequence[str]] = [
        [f"# {markdown_text(_title(report))}"],
        markdown_table([*names, *_heads(report)], [*_rows(report)], words=(0, 1, 5)),
        [f"![Every score with its interval]({PICTURE})"],
        ["Recall of held-out pairs, %:"],
        markdown_table([*names, *recalls], [*_recall_rows(report)], words=(0, 1)),
    ]
    if report["ranking"][0]["diagnosis"]:
        ways = ["regime", "align", *(f"predict {spoken(direction)}" for direction in report["directions"])]
        parts += [
            ["Separation, and how many signal components lie above all nuisance, of how many:"],
            markdown_table([*names, *ways], [*_diagnosis_rows(report)], words=(0, 1, 2)),
        ]
    parts.append([f"- {markdown_text(note)}" for note in notes(report)])
    parts.append([f"- {markdown_text(name)}: {markdown_text(text)}" for name, text in report["definitions"].items()])
    return "\n\n".join("\n".join(part) for part in parts) + "\n"
