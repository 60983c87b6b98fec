"""The model card: README.md of an exported model, for people and for the hub.

Place in the flow: facts -> front matter and markdown.
Not here: words and layout (card.md.j2), and where the facts are from (facts.py, encoder_facts.py).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from itertools import chain
from typing import Any

from huggingface_hub import EvalResult, ModelCardData
from jinja2 import Environment, StrictUndefined

from fusemix.markdown import escaped
from fusemix.parts.extras import install, packages_of
from fusemix.reports.reading import Report
from fusemix.reports.schema import seen_notes, spoken
from fusemix.wiring.exporting.encoder_facts import IN_FOLDER, EncoderFacts
from fusemix.wiring.exporting.facts import DataFacts

LIBRARY = "fusemix"
PIPELINE = "feature-extraction"
EXAMPLES = {
    "image": ("images", '["beach.jpg", "street.jpg"]'),
    "text": ("texts", '["a dog leaping into water", "two people on a bench"]'),
    "audio": ("audio", '["rain.wav", "bell.wav"]'),
}
NEEDED_BY = {"onnx": ["onnxruntime"], "sentence_transformers": packages_of("sentence-transformers")}
"""What the card's examples of an extra run with."""
MOST_LETTERS = 60
"""Of a name in a table."""


@dataclass(frozen=True)
class Card:
    """What the card tells.

    Attributes:
        name: of the model; on the hub organisation/model.
        dim: width of the embeddings.
        parameters: modality -> trained parameters of its adapter.
        adapters: modality -> kind of its adapter.
        encoders, data, reports: as facts.
        training: settings in short.
        license: of the adapters; None where nobody said it.
        extras: what else was written: `onnx`, `sentence_transformers`.
        version: of fusemix.
    """

    name: str
    dim: int
    parameters: Mapping[str, int]
    adapters: Mapping[str, str]
    encoders: Sequence[EncoderFacts]
    data: Sequence[DataFacts]
    reports: Sequence[Report]
    training: Mapping[str, str]
    license: str | None
    extras: Sequence[str]
    version: str

    @property
    def holds_encoders(self) -> bool:
        """Whether some were copied into the folder."""
        return any(one.revision == IN_FOLDER for one in self.encoders)

    @property
    def unknown(self) -> list[str]:
        """Modalities with an encoder that nothing says how to build."""
        return list(dict.fromkeys(one.modality for one in self.encoders if one.recipe is None))

    @property
    def unknown_name(self) -> str:
        """Of the first of these."""
        return next(one.name for one in self.encoders if one.recipe is None)

    @property
    def by_hand(self) -> dict[str, dict[str, Any]]:
        """Encoders by name, as they must be given where they run code that is not fusemix's own."""
        return {one.name: dict(one.recipe) for one in self.encoders if one.recipe and one.asks_first}

    @property
    def packages(self) -> list[str]:
        """What pip must install beside fusemix."""
        needed = [*(one.packages for one in self.encoders), *(NEEDED_BY.get(extra, []) for extra in self.extras)]
        return list(dict.fromkeys(chain.from_iterable(needed)))


def render(card: Card) -> str:
    """Text of README.md."""
    template = _template("card.md.j2")
    examples = [EXAMPLES[of] for of in card.parameters if of in EXAMPLES and of not in card.unknown]
    return template.render(
        card=card,
        install=install(card.packages),
        front_matter=front_matter(card).to_yaml(),
        examples=examples,
        metrics=[
            (report, metric_rows(report), use_of(report, card.data), seen_notes(report.data)) for report in card.reports
        ],
    )


def _template(name: str) -> Any:
    environment = Environment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    environment.filters |= {"cell": cell, "escaped": escaped, "thousands": "{:,}".format, "listed": listed}
    text = resources.files(__package__ or "").joinpath(name).read_text(encoding="utf-8")
    return environment.from_string(text)


def cell(value: object) -> str:
    """Text that stands in one cell of a markdown table, whatever it holds."""
    text = " ".join(str(value).split())
    return escaped(text if len(text) <= MOST_LETTERS else f"{text[:MOST_LETTERS]}…")


def listed(words: Iterable[str]) -> str:
    """`a, b and c`."""
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last


def use_of(report: Report, data: Sequence[DataFacts]) -> str | None:
    """What the measured set was used for before it was measured; None where the run never saw it."""
    links = report.data["data"].get("sha256", {}).get("links")
    return next((one.use for one in data if one.links == links), None)


def metric_rows(report: Report) -> list[list[str]]:
    """A header, then for each direction its figures and their 95 % intervals; recall in percent."""
    rows = [["direction", *(f"R@{k}" for k in report.ks), "median rank", "queries", "gallery"]]
    for direction in report.directions:
        counts = report.data["counts"][direction]
        figures = [f"{100 * report.data['metrics'][f'{direction}/recall_at_{k}']:.1f}" for k in report.ks]
        median = report.figure(direction, "median_rank")
        sizes = [f"{counts[part]:,}" for part in ("queries", "gallery")]
        rows.append([spoken(direction), *figures, "" if median is None else f"{median:g}", *sizes])
        intervals = [_interval(report, direction, f"recall_at_{k}", 100) for k in report.ks]
        if any(intervals):
            rows.append(["95 %", *intervals, _interval(report, direction, "median_rank", 1), "", ""])
    return rows


def _interval(report: Report, direction: str, metric: str, factor: int) -> str:
    bounds = report.interval(direction, metric)
    digits = ".1f" if factor == 100 else "g"
    return "" if bounds is None else f"{factor * bounds[0]:{digits}} to {factor * bounds[1]:{digits}}"


def front_matter(card: Card) -> ModelCardData:
    """What the hub reads."""
    kinds = {"sentence_transformers": "sentence-transformers"}
    tags = [LIBRARY, "multimodal", "retrieval", *card.parameters, *(kinds.get(extra, extra) for extra in card.extras)]
    base = list(dict.fromkeys(one.hub_name for one in card.encoders if one.hub_name))
    results = [result for report in card.reports for result in _results(report)]
    return ModelCardData(
        base_model=base or None,
        eval_results=results or None,
        library_name=LIBRARY,
        license=card.license,
        model_name=card.name.rpartition("/")[2],
        pipeline_tag=PIPELINE,
        tags=tags,
    )


def _results(report: Report) -> list[EvalResult]:
    data = report.data["data"]
    return [
        EvalResult(
            task_type="retrieval",
            task_name=f"retrieval, protocol {report.data['protocol']['name']}",
            dataset_type=str(data.get("dataset", data["name"])),
            dataset_name=data["name"],
            dataset_split=data.get("split"),
            dataset_revision=data.get("revision"),
            metric_type=f"recall_at_{k}",
            metric_name=f"{spoken(direction)} R@{k}",
            metric_value=round(float(report.data["metrics"][f"{direction}/recall_at_{k}"]), 6),
        )
        for direction in report.directions
        for k in report.ks
    ]
