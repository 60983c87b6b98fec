"""The report on generated pictures: generation.json for programs, generation.md and a table for people.

Place in the flow: figures, as plain data -> notes, markdown, a table on the screen.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from fusemix.disk.discarding import Owned, says
from fusemix.interfaces import Rejected
from fusemix.tables import NOTHING, markdown_table, markdown_text, percent, terminal_table

FORMAT, VERSION = "fusemix.generation_report", 1
FILE, MARKDOWN, PICTURE = "generation.json", "generation.md", "generation.png"
REPORT = Owned(
    "a report on generated pictures", lambda folder: says(folder / FILE, FORMAT, VERSION), (FILE, MARKDOWN, PICTURE)
)
ENOUGH = 10_000
"""Pictures from which on the bias of the Fréchet distance is small beside what is usually compared."""
HEADER = ["", "", "95 %", "by chance"]
TITLES = {
    "frechet_distance": "Fréchet distance",
    "frechet_distance_unbiased": "Fréchet distance, N → ∞",
    "kernel_distance": "kernel distance",
    "precision": "precision, %",
    "recall": "recall, %",
    "density": "density",
    "coverage": "coverage, %",
    "near_copies": "near copies, %",
}
AGREEMENT = {
    "cosine": "cosine with its query",
    "above_others": "above other queries",
    "own_nearest": "own query nearest, %",
}
SHOWN_ASIDE = 20
DEFINITIONS = {
    "frechet_distance": "Squared Fréchet distance of two Gaussians with the means and covariances of the features. "
    "Lower is better. Too large with few pictures, so that only distances of as many are comparable.",
    "frechet_distance_unbiased": "The same, extrapolated to endlessly many pictures by a line over 1/N; it needs two "
    "pictures for each number of a feature.",
    "kernel_distance": "Squared maximum mean discrepancy with the kernel (x·y / dim + 1)³, over all pairs, unbiased; a "
    "little below 0 is 0. Lower is better.",
    "precision": "Share of generated pictures that lie nearer to some real one than its k-th real neighbour.",
    "recall": "Share of real pictures that lie nearer to some generated one than its k-th generated neighbour.",
    "density": "In how many such balls of real pictures a generated one lies, over k; may exceed 1.",
    "coverage": "Share of such balls of real pictures in which some generated one lies.",
    "near_copies": "Share of generated pictures whose cosine with some real one is at least near_copy; by chance: of "
    "real pictures with another real one.",
    "cosine": "Mean cosine of a picture with what it was drawn from, in the model's space; by chance: with the other "
    "queries of that modality.",
    "above_others": "By how much that exceeds the mean cosine with the other queries.",
    "own_nearest": "Share of pictures to which their own query is the nearest of all of that modality; ties are lost.",
    "intervals": "95 %. Of distances by the delete-a-group jackknife over both sets; of shares Wilson's, of density "
    "by the standard error, both over pictures with the other set as it is; of agreement by the bootstrap over "
    "queries.",
}


def notes(counts: Mapping[str, int], dim: int, metrics: Mapping[str, float]) -> list[str]:
    """What a reader has to know before the figures.

    Args:
        counts: `generated` and `reference` pictures that were measured.
        dim: numbers of a feature.
        metrics: that were measured.
    """
    fewest, found = min(counts["generated"], counts["reference"]), []
    if fewest < ENOUGH:
        unbiased = " beside it is one without that bias" if "frechet_distance_unbiased" in metrics else ""
        found.append(
            f"{fewest:,} pictures make the Fréchet distance too large; compare it with distances of as many pictures "
            f"alone{';' if unbiased else ''}{unbiased}. The kernel distance has no such bias."
        )
    if fewest <= dim:
        found.append(
            f"{fewest:,} pictures span no more than {fewest - 1:,} of the {dim:,} numbers that the encoder gives: the "
            "Fréchet distance of so few says little."
        )
    return found


def report_data(
    *,
    metrics: dict[str, float],
    intervals: Mapping[str, tuple[float, float]],
    chance: dict[str, float],
    counts: dict[str, int],
    rejected: Sequence[tuple[str, Rejected]],
    about: Mapping[str, Any],
    identity: Mapping[str, Any],
    environment: Mapping[str, Any],
) -> dict[str, Any]:
    """Everything measured, and on what, as plain data.

    Args:
        metrics: by name; those of agreement as `<modality>/<name>`.
        intervals, chance: of some of them.
        counts: of pictures and queries.
        rejected: what was set aside, and where: generated, reference, pairs.
        about: folders, encoder, `dim` of its features, model, k, near_copy.
        identity: what this report is one of.
        environment: versions and device.
    """
    return {
        "format": FORMAT,
        "version": VERSION,
        "notes": notes(counts, about["dim"], metrics),
        "metrics": metrics,
        "intervals": {name: list(interval) for name, interval in intervals.items()},
        "chance": chance,
        "counts": counts,
        "set_aside": [{"of": where, **item._asdict()} for where, item in rejected],
        "definitions": DEFINITIONS,
        **about,
        "identity": dict(identity),
        "environment": dict(environment),
    }


def identity_of(report: Mapping[str, Any]) -> dict[str, Any]:
    """What a report is one of, from its file."""
    found = report.get("identity")
    return dict(found) if isinstance(found, Mapping) else {}


def _title(name: str) -> str:
    kind, _, figure = name.rpartition("/")
    return f"{kind}: {AGREEMENT[figure]}" if kind else TITLES[name]


def _figure(name: str, value: float | None) -> str:
    if value is None:
        return NOTHING
    title = _title(name)
    if title.endswith("%"):
        return percent(value)
    return f"{value:.3f}" if "/" in name or name == "density" else f"{round(value, 9):,.4g}"


def _rows(report: Mapping[str, Any]) -> list[list[str]]:
    metrics = report["metrics"]
    names = [*(name for name in TITLES if name in metrics), *(name for name in metrics if "/" in name)]
    return [
        [
            _title(name),
            _figure(name, metrics[name]),
            " to ".join(_figure(name, bound) for bound in report["intervals"].get(name, ())) or NOTHING,
            _figure(name, report["chance"].get(name)),
        ]
        for name in names
    ]


def counts_line(report: Mapping[str, Any]) -> str:
    """What was measured on, in one line."""
    counts, aside = report["counts"], len(report["set_aside"])
    queries = [f"{count:,} queries of {name}" for name, count in report["queries"].items()]
    unpaired = f"{counts['unpaired']:,} pictures without a query" if counts["unpaired"] else ""
    told = [
        f"{counts['generated']:,} generated and {counts['reference']:,} real pictures",
        *queries,
        unpaired,
        f"{aside:,} set aside",
    ]
    return ", ".join(filter(None, told))


def table(report: Mapping[str, Any]) -> Table:
    """A table for the terminal."""
    return terminal_table("Generated pictures beside real ones", HEADER, _rows(report))


def markdown(report: Mapping[str, Any], picture: str | None) -> str:
    """The report for people who read it in a browser or a repository.

    Args:
        report: as plain data.
        picture: name of the PNG beside it.
    """
    aside = [[one["of"], one["id"], f"{one['stage']}: {one['reason']}"] for one in report["set_aside"][:SHOWN_ASIDE]]
    more = len(report["set_aside"]) - len(aside)
    model = report["model"]
    lines = [
        "# Generated pictures beside real ones",
        "",
        *(line for note in report["notes"] for line in (f"> **{markdown_text(note)}**", "")),
        *markdown_table(HEADER, _rows(report)),
        "",
        f"{counts_line(report)}.",
        "",
        *(
            [f"![pictures that agree least and most, and those nearest to a real one]({picture})", ""]
            if picture
            else []
        ),
        "## What was measured",
        "",
        f"- generated: {markdown_text(report['generated'])}",
        f"- reference: {markdown_text(report['reference'])}",
        f"- encoder: {markdown_text(report['encoder'])}, {report['dim']:,} numbers",
        f"- model: {markdown_text(model['name'])}, {model['checkpoint']} checkpoint" if model else "- model: none",
        f"- k: {report['k']}, near_copy: {report['near_copy']:g}",
        "",
        *(["## Set aside", "", *markdown_table(["of", "item", "why"], aside, words=range(3)), ""] if aside else []),
        *([f"and {more:,} more, in {FILE}.", ""] if more else []),
        "## Definitions",
        "",
        *(f"- **{name}**: {text}" for name, text in report["definitions"].items()),
        "",
    ]
    return "\n".join(lines)
