"""Judge generated pictures: how near they are to real ones, and how well they agree with what they were drawn from.

    fusemix eval_generation generated=FOLDER reference=FOLDER out=FOLDER [model=RUN] [key=value …]

Reads two folders of pictures and, for agreement, a run and a table of what pictures were drawn from; writes
generation.json, generation.md and generation.png to <out>.
"""

from pathlib import Path
from typing import Any, NamedTuple

from fusemix.config import GenerationEvalConfig, to_plain
from fusemix.disk.files import write_json, write_text
from fusemix.disk.locks import one_writer
from fusemix.errors import ConfigError
from fusemix.interfaces import Encoder
from fusemix.machine.environment import describe_environment, one_device
from fusemix.progress import console, counting
from fusemix.reports.generation.picture import draw_sheet
from fusemix.reports.generation.report import (
    FILE,
    MARKDOWN,
    PICTURE,
    REPORT,
    counts_line,
    identity_of,
    markdown,
    report_data,
    table,
)
from fusemix.reports.standing import place_for, shown_at_least
from fusemix.wiring.evaluation.drawn_from import NOTHING_AGREED, Agreed, Judge, agreed, judge_of
from fusemix.wiring.evaluation.likeness import Likeness, likeness
from fusemix.wiring.evaluation.pictures import Folder, Seen, encoder_of, folder_of, require_enough, seen_by
from fusemix.wiring.evaluation.sheet import rows_of


class _Plan(NamedTuple):
    """What is going to be measured.

    Attributes:
        config: the settings.
        folders: of generated and of real pictures.
        encoder: that looks at both, on its device.
        judge: model and queries, where agreement is measured.
        device: that computes.
    """

    config: GenerationEvalConfig
    folders: tuple[Folder, Folder]
    encoder: Encoder
    judge: Judge | None
    device: str


class _Judged(NamedTuple):
    """All that was measured."""

    seen: tuple[Seen, Seen]
    likeness: Likeness
    agreed: Agreed | None


def main(config: GenerationEvalConfig) -> Path:
    """Encode, measure, compare with queries, report; returns generation.json."""
    with one_writer(config.out, doing="eval_generation", wait_sec=config.wait_sec):
        return _evaluate(config, Path(config.out))


def _evaluate(config: GenerationEvalConfig, out: Path) -> Path:
    plan = _plan(config, out)
    identity = _identity(plan)
    with place_for(out, REPORT, identity, file=FILE, identity=identity_of, overwrite=config.overwrite) as place:
        judged = _judged(plan)
        report = _report(plan, judged, identity)
        with shown_at_least(lambda: _show(report)):
            _write(place, plan, judged, report)
    _show(report)
    console.print(f"report: {out / MARKDOWN}, {PICTURE}, {FILE}")
    return out / FILE


def _plan(config: GenerationEvalConfig, out: Path) -> _Plan:
    device = one_device(config.compute.accelerator, config.compute.devices)
    folders = (folder_of("generated", Path(config.generated)), folder_of("reference", Path(config.reference)))
    for folder in folders:
        if out.resolve().is_relative_to(folder.path.resolve()):
            raise ConfigError(f"out={out} lies in {folder.name}, whose pictures are judged. Choose another out.")
    require_enough(folders, [len(folder.items) for folder in folders], config.k)
    judge = judge_of(config, folders[0], device)
    return _Plan(config, folders, encoder_of(config.encoder).to(device), judge, device)


def _identity(plan: _Plan) -> dict[str, Any]:
    """What a report is one of; versions of packages make no other one."""
    made_by = {key: value for key, value in plan.encoder.fingerprint.items() if key != "packages"}
    judge = plan.judge.identity() if plan.judge else None
    about = {folder.name: folder.about() for folder in plan.folders}
    return {**about, "encoder": made_by, "k": plan.config.k, "model": judge}


def _judged(plan: _Plan) -> _Judged:
    config, folders = plan.config, plan.folders
    with counting("pictures encoded", sum(len(folder.items) for folder in folders)) as advance:
        one, other = (seen_by(plan.encoder, folder, config, plan.device, advance) for folder in folders)
    require_enough(folders, (len(one.rows), len(other.rows)), config.k, (*one.rejected, *other.rejected))
    near = likeness(one, other, k=config.k, near_copy=config.near_copy, seed=config.seed, device=plan.device)
    return _Judged((one, other), near, agreed(plan.judge, folders[0], config) if plan.judge else None)


def _report(plan: _Plan, judged: _Judged, identity: dict[str, Any]) -> dict[str, Any]:
    found, (generated, reference) = judged.agreed or NOTHING_AGREED, judged.seen
    metrics, intervals, chance = (
        {**getattr(judged.likeness, field), **found.flat(field)} for field in ("figures", "intervals", "chance")
    )
    aside = [
        (folder.name, item)
        for folder, side in zip(plan.folders, judged.seen, strict=True)
        for item in (*folder.excluded, *side.rejected)
    ]
    counts = {"generated": len(generated.rows), "reference": len(reference.rows)}
    counts |= {"paired": len(found.cosines), "unpaired": found.unpaired}
    return report_data(
        metrics=metrics,
        intervals=intervals,
        chance=chance,
        counts=counts,
        rejected=[*aside, *(("pairs", item) for item in found.rejected)],
        about={
            **{folder.name: str(folder.path) for folder in plan.folders},
            "encoder": str(plan.encoder.fingerprint.get("model") or plan.config.encoder.name),
            "dim": plan.encoder.dim,
            "model": plan.judge.about() if plan.judge else None,
            "queries": {kind: one.counts["queries"] for kind, one in found.of_kind.items()},
            **{key: to_plain(plan.config)[key] for key in ("k", "near_copy", "seed")},
        },
        identity=identity,
        environment=describe_environment(plan.device),
    )


def _show(report: dict[str, Any]) -> None:
    for note in report["notes"]:
        console.print(note, style="yellow", soft_wrap=False)
    console.print(table(report))
    console.print(counts_line(report))


def _write(out: Path, plan: _Plan, judged: _Judged, report: dict[str, Any]) -> None:
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / FILE, report)
    rows = rows_of(plan.folders, judged.seen, judged.likeness, judged.agreed)
    if lost := draw_sheet(out / PICTURE, rows):
        console.print(lost)
    write_text(out / MARKDOWN, markdown(report, PICTURE))
