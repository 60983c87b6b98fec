"""Stage 3: measure retrieval with a trained model on a latent set.

    python eval_retrieval.py configs/eval/glyphs.yaml [key=value …]

Reads a run folder and a latent set; writes report.html, report.json, report.md, queries.jsonl and examples.png
to <out>.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import chain, groupby, islice
from pathlib import Path
from typing import Any

from lightning.fabric import Fabric

from fusemix.commands.next_step import IS_TYPED, after_evaluating, tell
from fusemix.config import EvalConfig, to_plain
from fusemix.disk.files import write_json, write_jsonl, write_text
from fusemix.fusion.checkpoints import trained_model
from fusemix.fusion.model import FusionModel
from fusemix.machine.alone import alone_in
from fusemix.machine.environment import describe_environment
from fusemix.machine.parallel import fabric_for, failing_together, first_alone, started_by_others
from fusemix.models.learned import seen_before
from fusemix.progress import console, counting
from fusemix.reports import standing
from fusemix.reports.page.data import Card, DirectionPage
from fusemix.reports.page.render import render_page
from fusemix.reports.reading import REPORT, seen_notes
from fusemix.reports.retrieval.directions import directions_data, directions_markdown, directions_table
from fusemix.reports.retrieval.picture import draw_examples
from fusemix.reports.retrieval.report import markdown, report_data, tables
from fusemix.reports.standing import shown_at_least
from fusemix.retrieval.evaluation import Embeddings
from fusemix.retrieval.intervals import DRAWS, Sampled, bootstrap_intervals
from fusemix.retrieval.results import Results, query_lines, results_of
from fusemix.retrieval.ways import listed_ways
from fusemix.wiring.evaluation import beside, corrections
from fusemix.wiring.evaluation.evaluate import Evaluation, evaluation_of
from fusemix.wiring.evaluation.measured import Measured, measure
from fusemix.wiring.evaluation.several import parts_of
from fusemix.wiring.evaluation.showing import directions_shown, num_out_of_reach, sampled_points, sampled_scores
from fusemix.wiring.evaluation.widths import width_rows, widths_of

MOST_COLUMNS = 100
"""Of tables with millions of queries; most take 80."""
EXAMPLES = "examples.png"
IN_PICTURE = 2
"""Queries of each kind and direction in examples.png."""


def main(config: EvalConfig) -> Path:
    """Embed, measure, search, report; returns report.json."""
    fabric = fabric_for(**to_plain(config.compute))
    console.quiet = not fabric.is_global_zero
    compute = config.compute
    how: dict[str, Any] = {"wait_sec": config.wait_sec, "devices": compute.devices, "num_nodes": compute.num_nodes}
    # The first process alone writes, and the others need not see where.
    with alone_in([Path(config.out)], fabric, doing="eval_retrieval", shared=False, **how):
        if config.more:
            return _evaluate_all(config, fabric)
        report = _evaluate(config, fabric, lambda: evaluation_of(config))
    if report is not None:
        if IS_TYPED.get():  # in Python, the report shows itself
            _show(report)
        tell(
            f"report: {Path(config.out) / 'report.html'} (open it in a browser), report.md, report.json, queries.jsonl"
        )
        tell(after_evaluating(config.model, config.latents))
    return Path(config.out) / "report.json"


def _evaluate_all(config: EvalConfig, fabric: Fabric) -> Path:
    """A report of each set, and of what is judged between them, and one table of all; returns directions.json."""
    out = Path(config.out)
    with failing_together(fabric):
        parts = parts_of(config)
    reports: dict[str, dict[str, Any]] = {}
    for part in parts:
        tell(f"{part.name}: {part.latent_set.name}")
        how = partial(evaluation_of, part.config, part.latent_set)
        if (report := _evaluate(part.config, fabric, how, launches=part is parts[0])) is not None:
            reports[part.name] = report
    if reports:
        write_json(out / "directions.json", directions_data(reports))
        write_text(out / "directions.md", directions_markdown(reports))
        console.print(directions_table(reports), width=max(console.width, MOST_COLUMNS), crop=False)
        tell(f"reports: {out}/*/report.html (open them in a browser); all directions: {out / 'directions.md'}, .json")
    return out / "directions.json"


def _evaluate(
    config: EvalConfig, fabric: Fabric, open_it: Callable[[], Evaluation], *, launches: bool = True
) -> dict[str, Any] | None:
    """Measure one set and write its report, which is returned; None in all processes but the first."""
    out = place = Path(config.out)
    with ExitStack() as stack:
        with failing_together(fabric), first_alone(fabric):
            evaluation = open_it()
            beside.check(evaluation)
            wanted = standing.identity_of(evaluation.about)
            if fabric.is_global_zero:
                how: dict[str, Any] = {"overwrite": config.overwrite}
                place = stack.enter_context(standing.place_for(out, REPORT, wanted, **how))
        if launches and not started_by_others(fabric):
            fabric.launch()
        model = trained_model(evaluation.checkpoint, config.trust_code).to(fabric.device)
        widths = widths_of(evaluation, model)
        measured = measure(evaluation, model, fabric)
        if not fabric.is_global_zero:
            return None
        on_gpu = fabric.device.type == "cuda"
        embeddings, survey = measured.embeddings, measured.survey
        tops = listed_ways(survey, measured.ways.on_cpu(), evaluation.depth, use_gpu=on_gpu)
        results = results_of(survey.directions, tops, evaluation.gallery.links)
        report = _report(evaluation, model, measured, results, widths, str(fabric.device))
        with shown_at_least(lambda: _show(report)):
            _write(place, evaluation, embeddings, results, report)
    return report


def _show(report: dict[str, Any]) -> None:
    for note in seen_notes(report):
        console.print(note, style="yellow", soft_wrap=False)
    for table in tables(report):
        console.print(table, width=max(console.width, MOST_COLUMNS), crop=False)


def _report(
    evaluation: Evaluation,
    model: FusionModel,
    measured: Measured,
    results: tuple[Results, Results],
    widths: Sequence[int],
    device: str,
) -> dict[str, Any]:
    with counting("bootstrap", DRAWS) as advance:
        sampled = [Sampled(found.direction.name, found.direction.values, found.owners) for found in results]
        intervals = bootstrap_intervals(sampled, seed=evaluation.config.seed, advance=advance)
    return report_data(
        [found.direction for found in results],
        protocol=evaluation.about["protocol"],
        intervals=intervals,
        hubs=beside.hubs(results, evaluation),
        others=[
            *beside.merged_captions(evaluation, measured.ways),
            *beside.measured_baselines(evaluation, device),
            *corrections.rows(evaluation, measured, model, device),
        ],
        indexes=beside.indexes(evaluation, results, measured.ways.on_cpu()),
        widths=width_rows(evaluation, measured.on(device), widths),
        is_corrected=not measured.ways.is_plain,
        data=evaluation.about["data"],
        model=evaluation.about["model"],
        seen=seen_before(
            Path(evaluation.config.model),
            evaluation.config.checkpoint,
            evaluation.record,
            evaluation.latent_set,
            evaluation.gallery.rows,
        ),
        environment=describe_environment(device),
    )


def _write(
    out: Path,
    evaluation: Evaluation,
    embeddings: Embeddings,
    results: tuple[Results, Results],
    report: dict[str, Any],
) -> None:
    out.mkdir(parents=True, exist_ok=True)
    (out / EXAMPLES).unlink(missing_ok=True)  # of a report that had more of them
    latent_set, gallery, seed = evaluation.latent_set, evaluation.gallery, evaluation.config.seed
    left, right = (items.ids for items in gallery.of(latent_set))
    lines = chain(query_lines(results[0], (left, right), left), query_lines(results[1], (right, left), left))
    write_json(out / "report.json", report)  # before anything is drawn: pictures and sounds may hold surprises
    write_jsonl(out / "queries.jsonl", lines)
    config = evaluation.config
    pages = directions_shown(results, latent_set, gallery, config.num_examples, trust_code=config.trust_code)
    if gone := num_out_of_reach(item for page in pages for card in page.cards for item in card.items):
        console.print(
            f"{gone} items can only be shown by their ids: what they were cached from cannot be read any more"
        )
    points = sampled_points(embeddings, latent_set, gallery, seed)
    page = render_page(report, pages, sampled_scores(embeddings, gallery.links, seed), points)
    write_text(out / "report.html", page)
    if cards := _first_of_each_kind(pages):
        title = f"{latent_set.name}: queries and what they found (green: linked)"
        if lost := draw_examples(out / EXAMPLES, cards, title):
            console.print(lost)
    write_text(out / "report.md", markdown(report, EXAMPLES if cards else None))


def _first_of_each_kind(pages: Sequence[DirectionPage]) -> list[Card]:
    kinds = [groupby(page.cards, key=lambda card: card.kind) for page in pages]
    return [card for of_page in kinds for _, cards in of_page for card in islice(cards, IN_PICTURE)]
