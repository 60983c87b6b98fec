"""The model card: README.md of an exported model, for people and for the hub.

Place in the flow: facts -> front matter and markdown.
Not here: words and layout (card.md.j2), and where the facts are from (facts.py, encoder_facts.py).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from itertools import chain
from typing import Any

from huggingface_hub import EvalResult, ModelCardData
from jinja2 import Environment, StrictUndefined

from fusemix.parts.extras import install, packages_of
from fusemix.reports.reading import Report, seen_notes
from fusemix.tables import markdown_table, markdown_text, metric_label, number, percent, spoken
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
NOT_NOTED = "not noted"
THOUSANDS = "{:,}".format


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
        is_turned: whether the first numbers of embeddings are worth most, so that they can be cut.
        corrected: directions whose hubs the model corrects, such as `text_to_image`.
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
    is_turned: bool
    corrected: Sequence[str]
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
        parameters=_parameters(card),
        encoders=_encoders(card),
        data=_data(card),
        metrics=[
            (report, _metrics(report), use_of(report, card.data), seen_notes(report.data)) for report in card.reports
        ],
    )


@cache
def _template(name: str) -> Any:
    environment = Environment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    environment.filters |= {
        "cell": cell,
        "escaped": markdown_text,
        "thousands": THOUSANDS,
        "listed": listed,
        "spoken": spoken,
    }
    text = resources.files(__package__ or "").joinpath(name).read_text(encoding="utf-8")
    return environment.from_string(text)


def cell(value: object) -> str:
    """The beginning of a text, whatever it holds, as Markdown shows it letter for letter."""
    return markdown_text(_begun(value))


def _begun(value: object) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= MOST_LETTERS else f"{text[:MOST_LETTERS]}…"


def listed(words: Iterable[str]) -> str:
    """`a, b and c`."""
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last


def use_of(report: Report, data: Sequence[DataFacts]) -> str | None:
    """What the measured set was used for before it was measured; None where the run never saw it."""
    links = report.data["data"].get("sha256", {}).get("links")
    return next((one.use for one in data if one.links == links), None)


def _parameters(card: Card) -> str:
    rows = [[_begun(of), _begun(card.adapters[of]), THOUSANDS(count)] for of, count in card.parameters.items()]
    return _table(["modality", "adapter", "trained parameters"], rows, words=range(2))


def _encoders(card: Card) -> str:
    heads = ["modality", "model", "revision", "pooling", "other settings", "latents: width, dtype"]
    rows = []
    for one in card.encoders:
        words = map(_begun, (one.modality, one.model, one.revision, one.pooling, one.settings))
        rows.append([*words, one.latents, _begun(one.licence)])
    return _table([*heads, "licence of its weights"], rows, words=range(7))


def _data(card: Card) -> str:
    rows = []
    for one in card.data:
        items = ", ".join(f"{count:,} {_begun(modality)}" for modality, count in (one.items or {}).items())
        pairs = THOUSANDS(one.pairs)
        rows.append([_begun(one.name), _begun(one.revision or NOT_NOTED), pairs, items or NOT_NOTED, one.use])
    return _table(["set", "revision", "pairs", "items", "used for"], rows, words=(0, 1, 3, 4))


def _metrics(report: Report) -> str:
    """For each direction its figures and their 95 % intervals; recall in percent."""
    rows = []
    heads = ["direction", *(metric_label(f"recall_at_{k}") for k in report.ks), "median rank", "queries", "gallery"]
    for direction in report.directions:
        counts = report.data["counts"][direction]
        figures = [percent(report.data["metrics"][f"{direction}/recall_at_{k}"]) for k in report.ks]
        median = report.figure(direction, "median_rank")
        sizes = [f"{counts[part]:,}" for part in ("queries", "gallery")]
        rows.append([spoken(direction), *figures, "" if median is None else number("median_rank", median), *sizes])
        intervals = [_interval(report, direction, f"recall_at_{k}") for k in report.ks]
        if any(intervals):
            rows.append(["95 %", *intervals, _interval(report, direction, "median_rank"), "", ""])
    return _table(heads, rows)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], **how: Any) -> str:
    return "\n".join(markdown_table(heads, rows, **how))


def _interval(report: Report, direction: str, metric: str) -> str:
    bounds = report.interval(direction, metric) or ()
    return " to ".join(number(metric, bound) if metric == "median_rank" else percent(bound) for bound in bounds)


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
            metric_name=f"{spoken(direction)} {metric_label(f'recall_at_{k}')}",
            metric_value=round(float(report.data["metrics"][f"{direction}/recall_at_{k}"]), 6),
        )
        for direction in report.directions
        for k in report.ks
    ]
