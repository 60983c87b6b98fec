"""Zero-shot classification: items are named by the prompts of classes that the model was not trained on.

    fusemix eval_zero_shot configs/eval/esc50_zero_shot.yaml [key=value …]

Reads a run folder, or nothing where latents share a space already, and a labelled latent set; writes report.html,
report.json, report.md and classes.png to <out>.
"""

from pathlib import Path
from typing import Any

from torch import Tensor

from fusemix.config import ZeroShotConfig
from fusemix.disk.files import write_json, write_text
from fusemix.disk.locks import one_writer
from fusemix.latents.sets import LatentSet
from fusemix.machine.environment import describe_environment, one_device
from fusemix.models.learned import seen_before
from fusemix.progress import console, counting
from fusemix.reports.classes.picture import draw_classes
from fusemix.reports.classes.report import REPORT, counts_line, markdown, report_data, table
from fusemix.reports.page.zero_shot import confusion_table, render_zero_shot
from fusemix.reports.schema import seen_notes
from fusemix.reports.standing import identity_of, place_for, shown_at_least
from fusemix.retrieval.zero_shot import ZeroShot, class_embeddings, measure_classes
from fusemix.wiring.evaluation.evaluate import about_set
from fusemix.wiring.evaluation.showing import classified_cards, num_out_of_reach
from fusemix.wiring.evaluation.zero_shot import Labels, Subject, labels_of, subject_of

NUM_EXAMPLES = 6
"""Items of each kind (best, typical, worst) that the page shows, with the classes nearest to them."""


def main(config: ZeroShotConfig) -> Path:
    """Embed, classify, measure, report; returns report.json."""
    with one_writer(config.out, doing="eval_zero_shot", wait_sec=config.wait_sec):
        return _evaluate(config)


def _evaluate(config: ZeroShotConfig) -> Path:
    out = Path(config.out)
    device = one_device(config.compute.accelerator, config.compute.devices)
    subject = subject_of(config, device)
    labels = labels_of(subject.latent_set)
    data = {**about_set(subject.latent_set), "templates": labels.templates}
    wanted = identity_of({"data": data, "model": subject.about})
    with place_for(out, REPORT, wanted, overwrite=config.overwrite) as place:
        found, embeddings = _measure(subject, labels)
        report = report_data(
            found,
            labels.classes,
            labels.words,
            data=data,
            model=subject.about,
            seen=_seen(config, subject, labels),
            environment=describe_environment(device),
        )
        with shown_at_least(lambda: _show(report)):
            _write(place, config, (found, embeddings), (subject.latent_set, labels), report)
    _show(report)
    console.print(f"report: {out / 'report.html'} (open it in a browser), report.md, report.json")
    return out / "report.json"


def _measure(subject: Subject, labels: Labels) -> tuple[ZeroShot, tuple[Tensor, Tensor]]:
    """Figures, and the embeddings of items and of classes."""
    left, right = subject.latent_set.sides
    items, prompts = subject.embed(left, labels.items), subject.embed(right, labels.prompts)
    classes = class_embeddings(prompts, labels.class_of_prompt, len(labels.classes))
    with counting("classes measured", len(classes)) as advance:
        return measure_classes(items, classes, labels.class_of_item, advance=advance), (items, classes)


def _seen(config: ZeroShotConfig, subject: Subject, labels: Labels) -> list[dict[str, Any]]:
    if config.model is None or subject.record is None:
        return []
    rows = (labels.items, labels.prompts)
    return seen_before(Path(config.model), config.checkpoint, subject.record, subject.latent_set, rows)


def _show(report: dict[str, Any]) -> None:
    for note in seen_notes(report):
        console.print(note, style="yellow", soft_wrap=False)
    console.print(table(report))
    console.print(counts_line(report))


def _write(
    out: Path,
    config: ZeroShotConfig,
    measured: tuple[ZeroShot, tuple[Tensor, Tensor]],
    data: tuple[LatentSet, Labels],
    report: dict[str, Any],
) -> None:
    (found, embeddings), (latent_set, labels) = measured, data
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "report.json", report)
    picture = out / "classes.png"
    title = f"{latent_set.name}: each class, with its items"
    if lost := draw_classes(picture, labels.words, found.accuracy, found.num_items, title):
        console.print(lost)
    write_text(out / "report.md", markdown(report, picture.name))
    how = {"count": NUM_EXAMPLES, "trust_code": config.trust_code}
    cards = classified_cards(found, embeddings, latent_set, labels, **how)
    if gone := num_out_of_reach(card.query for card in cards):
        console.print(
            f"{gone} items can only be shown by their ids: what they were cached from cannot be read any more"
        )
    page = render_zero_shot(report, confusion_table(found, labels.words), cards, latent_set.left.modality)
    write_text(out / "report.html", page)
