"""What a folder of fusemix's is, and what it says of itself: an index, a run, an exported model, a report.

Place in the flow: a folder -> Facts -> `fusemix info`.
Not here: latent sets and stores (latents/inspection.py), and whether every byte is as it was (`fusemix verify`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fusemix.disk.discarding import says
from fusemix.disk.files import read_json
from fusemix.errors import RunError
from fusemix.fusion.checkpoints import BEST, CHECKPOINTS, ENDED, LAST, MEAN_RECALL, about, read_checkpoint
from fusemix.fusion.runs import is_run
from fusemix.latents.quarantine import read_quarantine
from fusemix.models.folder import CONFIG, folder_bytes, is_export
from fusemix.reports import reading
from fusemix.reports.classes import report as zero_shot_report
from fusemix.reports.comparison import side_by_side
from fusemix.reports.generation import report as generation_report
from fusemix.search.description import INDEX, QUARANTINE, read_description
from fusemix.search.folder import Index
from fusemix.search.table import open_table

REPORT, COMPARISON = "report.json", "compare.json"
OURS = "latent sets, latent stores, runs, indexes, exported models, reports and comparisons"
KNOWN_BY = (
    f"set.json, manifest.json, {CHECKPOINTS}/, {INDEX}, {CONFIG}, {REPORT}, {generation_report.FILE} or {COMPARISON}"
)
KINDS = {
    reading.FORMAT: "report of retrieval",
    zero_shot_report.FORMAT: "report of zero-shot classification",
    generation_report.FORMAT: "report on generated pictures",
    side_by_side.FORMAT: "comparison",
}


@dataclass(frozen=True)
class Facts:
    """What is told of a folder.

    Attributes:
        kind: of folder, for people.
        rows: name and value.
        notes: what else a person should know.
    """

    kind: str
    rows: list[tuple[str, str]]
    notes: list[str] = field(default_factory=list)


def facts_of(folder: Path) -> Facts | None:
    """Look at a folder; None where it is none of these kinds.

    Raises:
        IndexFolderError, RunError: it says that it is one, and is damaged.
    """
    if (folder / INDEX).is_file():
        return _of_index(folder)
    if is_export(folder):
        return _of_export(folder)
    if is_run(folder):
        return _of_run(folder)
    for name in (REPORT, generation_report.FILE, COMPARISON):
        if any(says(folder / name, kind, 1_000) for kind in KINDS):
            return _of_report(folder / name)
    return None


def _of_index(folder: Path) -> Facts:
    about_index = read_description(folder)
    assert about_index is not None, "it is there"
    model = about_index.model
    counts = Index(folder).counts if open_table(folder) is not None else {}
    rows = [
        ("items", " and ".join(f"{count:,} {one}" for one, count in sorted(counts.items())) or "none"),
        ("width", f"{about_index.dim}, in {about_index.precision}"),
        ("model", str(model.get("name"))),
        ("checkpoint", str(model.get("checkpoint"))),
        ("adapters", str(model.get("sha256"))),
        ("asked by", ", ".join(map(str, model.get("modalities", [])))),
    ]
    for source in about_index.sources:
        place = Path(str(source["path"]))
        gone = "" if place.exists() else " (no longer there)"
        rows.append((f"source, {source['modality']}", f"{place}{gone}"))
    aside = len(read_quarantine(folder)) if (folder / QUARANTINE).is_file() else 0
    return Facts("index", [*rows, ("set aside", f"{aside:,}")])


def _of_record(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    config = record["config"]
    rows = [("modalities", ", ".join(record["dims"]))]
    for modality, prints in record["encoders"].items():
        made = [one.get("encoder", {}) for one in prints]
        names = [str(one.get("model") or one.get("made_by") or one.get("family")) for one in made]
        widths = " + ".join(map(str, record["dims"][modality]))
        rows.append((f"encoders of {modality}", f"{', '.join(names)} (width {widths})"))
    adapters = {modality: part["name"] for modality, part in config["adapters"].items()}
    named = ", ".join(f"{modality}: {name}" for modality, name in adapters.items())
    rows.append(("adapter", f"{config['adapter']['name']}{f' ({named})' if named else ''}"))
    rows.append(("embedding_dim", str(config["embedding_dim"])))
    rows += [(name, str(config[name])) for name in ("train", "validation") if config.get(name)]
    return rows


def _of_run(folder: Path) -> Facts:
    rows: list[tuple[str, str]] = []
    notes = []
    for name in (BEST, LAST):
        path = folder / CHECKPOINTS / name
        if not path.is_file():
            notes.append(f"{path} is not there.")
            continue
        try:
            checkpoint = read_checkpoint(path)
        except RunError as error:
            notes.append(str(error))
            continue
        config = about(checkpoint)["config"]
        rows = rows or _of_record(about(checkpoint))
        rows.append((name, f"epoch {checkpoint['epoch'] + 1} of {config['optim']['max_epochs']}"))
        if "zero_shot" in (ended := about(checkpoint).get(ENDED, {})):
            rows.append(("recall on validation", f"{ended[MEAN_RECALL]:.1%}, zero-shot {ended['zero_shot']:.1%}"))
    return Facts("run", rows, notes)


def _of_export(folder: Path) -> Facts:
    content = read_json(folder / CONFIG)
    rows = [(name, str(content[name])) for name in ("name", "checkpoint", "epoch", "fusemix") if name in content]
    notes = []
    try:
        rows += _of_record(content["record"])
        rows += [
            (f"built by, {modality}", ", ".join(str((one["source"] or {}).get("name", "not known")) for one in listed))
            for modality, listed in content["encoders"].items()
        ]
    except (KeyError, TypeError, AttributeError) as error:
        notes.append(f"{folder / CONFIG} is damaged: {type(error).__name__}: {error}")
    return Facts("exported model", [*rows, ("size", f"{folder_bytes(folder) / 1e6:,.1f} MB")], notes)


def _of_report(path: Path) -> Facts:
    content = read_json(path)
    kind = KINDS[content["format"]]
    rows = []
    for part in ("data", "protocol", "model", "run"):
        for name, value in (content.get(part) or {}).items() if isinstance(content.get(part), dict) else ():
            if isinstance(value, str | int | float):
                rows.append((f"{part}.{name}", str(value)))
    for name, value in (content.get("metrics") or {}).items():
        if isinstance(value, int | float):
            rows.append((name, f"{value:.4g}"))
    for report in content.get("reports", content.get("runs", [])):
        rows.append(("of", str(report.get("name", report) if isinstance(report, dict) else report)))
    return Facts(kind, rows)
