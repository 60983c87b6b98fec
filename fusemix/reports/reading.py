"""Reports: what their folders are known by, and report.json and queries.jsonl read back.

Place in the flow: report folders -> Report, Queries -> comparison/, wiring/exporting/. retrieval/report.py writes by
FORMAT and VERSION. Reading needs no torch.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int64

from fusemix.disk.discarding import Owned, says
from fusemix.disk.files import read_json
from fusemix.errors import ConfigError, RunError

FORMAT = "fusemix.report"
VERSION = 2
"""1 had neither intervals nor protocol, MRR, mAP, nDCG, hubness, baselines and indexes."""
FILE, QUERIES = "report.json", "queries.jsonl"
REPORT = Owned(
    "a report",
    lambda folder: says(folder / FILE, FORMAT, VERSION),
    (FILE, "report.html", "report.md", QUERIES, "examples.png"),
)
RECALL = "recall_at_"
AGAIN = "Measure again: python eval_retrieval.py … out=FOLDER"
CORRECTED = "figures are those with hubs corrected, not of cosines alone."
ROUNDING = 1e-6
"""How far a recall counted from queries.jsonl may lie from the one in report.json."""


@dataclass(frozen=True)
class Report:
    """One evaluation, as it was written.

    Attributes:
        folder: that holds it.
        data: content of report.json.
    """

    folder: Path
    data: Mapping[str, Any]

    @property
    def directions(self) -> tuple[str, str]:
        """Their names, such as `image_to_text`, in the order of the report."""
        one, other = self.data["counts"]
        return one, other

    @property
    def ks(self) -> list[int]:
        """Depths at which recall was measured in both directions, ascending."""
        depths = [{int(key.rpartition("_")[2]) for key in self._recalls(name)} for name in self.directions]
        return sorted(depths[0] & depths[1])

    def _recalls(self, direction: str) -> list[str]:
        return [key for key in self.data["metrics"] if key.startswith(f"{direction}/{RECALL}")]

    def figure(self, direction: str, metric: str) -> float | None:
        """One figure, as a fraction; None where it was not measured."""
        value = self.data["metrics"].get(f"{direction}/{metric}")
        return None if value is None else float(value)

    def interval(self, direction: str, metric: str) -> tuple[float, float] | None:
        """95 % interval of a figure; None where it was not measured."""
        bounds = self.data.get("intervals", {}).get(f"{direction}/{metric}")
        return None if bounds is None else (float(bounds[0]), float(bounds[1]))


class Queries(NamedTuple):
    """The queries of one direction, in the order of the file.

    Attributes:
        ids: of the queries.
        left_items: id of the left item that each belongs to: itself, or the first that is linked to it.
        ranks: of the first linked item, from 1.
    """

    ids: Sequence[str]
    left_items: Sequence[str]
    ranks: Int64[np.ndarray, " queries"]


def read_report(path: Path) -> Report:
    """Read a report.

    Args:
        path: of a report folder, or of the report.json in it.

    Raises:
        RunError: nothing is there, or it is no report, or one of another version, or damaged.
    """
    file = path / FILE if path.is_dir() else path
    if not file.is_file():
        below = sorted(str(found.parent.relative_to(path)) for found in path.glob(f"*/{FILE}"))
        hint = f" Reports in it: {', '.join(below)}." if below else " Name a folder that eval_retrieval.py wrote."
        raise RunError(f"there is no {file}.{hint}")
    try:
        data = read_json(file)
    except ValueError as error:
        raise RunError(f"{file} is not JSON ({error}). {AGAIN}") from error
    kind = data.get("format") if isinstance(data, dict) else None
    if kind != FORMAT:
        says = f"says that it is a {kind}" if kind else "does not say what it is"
        raise RunError(f"{file} is no report of retrieval: it {says}, and a report is a {FORMAT}.")
    if data.get("version") != VERSION:
        raise RunError(f"{file} is of version {data.get('version')}, and this fusemix reads version {VERSION}. {AGAIN}")
    if lacking := _lacking(data):
        raise RunError(f"{file} is damaged: {lacking}. {AGAIN}")
    return Report(file.parent, data)


def _lacking(data: Mapping[str, Any]) -> str:
    """What a report needs to be compared and does not hold; empty where nothing lacks."""
    parts = {"protocol": ["name"], "metrics": [], "counts": [], "data": ["name"]}
    for part, keys in parts.items():
        if not isinstance(data.get(part), dict):
            return f"it has no {part!r}"
        if missing := [key for key in keys if key not in data[part]]:
            return f"{part!r} has no {missing[0]!r}"
    if wrong := [key for key, value in data["metrics"].items() if not isinstance(value, (int, float))]:
        return f"'metrics' holds no number for {wrong[0]!r}"
    if len(data["counts"]) != 2:
        return f"'counts' holds {len(data['counts'])} directions, not two"
    for direction, counts in data["counts"].items():
        if not isinstance(counts, dict) or not all(isinstance(counts.get(key), int) for key in ("queries", "gallery")):
            return f"'counts' of {direction} lacks 'queries' or 'gallery'"
        if not any(key.startswith(f"{direction}/{RECALL}") for key in data["metrics"]):
            return f"'metrics' has no recall of {direction}"
    return _wrong_beside(data)


def _wrong_beside(data: Mapping[str, Any]) -> str:
    """The same of what may stand beside the figures."""
    texts = [
        f"{part}.{key}"
        for part in ("data", "protocol")
        for key in ("name", "dataset", "split", "about")
        if not isinstance(data[part].get(key, ""), str)
    ]
    if texts:
        return f"{texts[0]} is no text"
    if not isinstance(data["protocol"].get("folds", 1), int):
        return "protocol.folds is no number"
    intervals = data.get("intervals", {})
    if not isinstance(intervals, dict) or not all(map(_is_interval, intervals.values())):
        return "'intervals' holds something else than two numbers for each figure"
    others = data.get("others", [])
    if not isinstance(others, list) or not all(map(_is_other, others)):
        return "'others' holds something else than name, kind and metrics"
    return ""


def _is_interval(bounds: Any) -> bool:
    return isinstance(bounds, list) and len(bounds) == 2 and all(isinstance(bound, (int, float)) for bound in bounds)


def _is_other(other: Any) -> bool:
    if not isinstance(other, dict) or not all(isinstance(other.get(key), str) for key in ("name", "kind")):
        return False
    figures = other.get("metrics")
    return isinstance(figures, dict) and all(isinstance(figure, (int, float)) for figure in figures.values())


def read_reports(paths: Sequence[str]) -> list[Report]:
    """Read several reports that can stand in one table.

    Args:
        paths: of report folders or report.json files.

    Raises:
        RunError: one of them cannot be read.
        ConfigError: one is given twice, or they are of other modalities, or have no depth of recall in common.
    """
    reports = [read_report(Path(path)) for path in paths]
    folders = [report.folder.resolve() for report in reports]
    for place, folder in enumerate(folders):
        if folder in folders[:place]:
            raise ConfigError(f"{paths[place]} is given twice. Name each report once.")
    first = reports[0]
    for report, path in zip(reports[1:], paths[1:], strict=True):
        if set(report.directions) != set(first.directions):
            raise ConfigError(
                f"{path} measured {' and '.join(report.directions)}, and {paths[0]} {' and '.join(first.directions)}. "
                "One table holds one pair of modalities: give these reports apart."
            )
    if not common_ks(reports):
        raise ConfigError("the reports have no depth of recall in common. Measure again with the same ks.")
    return reports


def seen_notes(report: Mapping[str, Any]) -> list[str]:
    """What a report has to say first: what of it the model has learned from, or that this cannot be known."""
    seen = report.get("seen")
    found = [entry.get("note") for entry in seen if isinstance(entry, dict)] if isinstance(seen, list) else []
    return [note for note in found if isinstance(note, str) and note]


def corrected_text(report: Mapping[str, Any]) -> str:
    """What a title says of figures that are not those of plain cosines; empty where they are."""
    return ", hubs corrected" if report.get("is_corrected") is True else ""


def told_first(reports: Sequence[Report], names: Sequence[str]) -> list[str]:
    """What has to be said of figures side by side: whose are of items that were learned from, or not plain."""
    return [
        f"{name}: {note}"
        for name, report in zip(names, reports, strict=True)
        for note in (*seen_notes(report.data), *([CORRECTED] if corrected_text(report.data) else []))
    ]


def common_ks(reports: Sequence[Report]) -> list[int]:
    """Depths of recall that all reports have, ascending."""
    return sorted(set.intersection(*(set(report.ks) for report in reports)))


def run_names(reports: Sequence[Report]) -> list[str]:
    """A name for each report: the shortest end of its folder's path that tells all apart."""
    parts = [report.folder.resolve().parts for report in reports]
    for length in range(1, max(map(len, parts))):
        names = ["/".join(part[-length:]) for part in parts]
        if len(set(names)) == len(names):
            return names
    return [str(report.folder) for report in reports]


def read_queries(report: Report) -> dict[str, Queries]:
    """Read whom each query belongs to and what rank it reached; what it found is passed over, line by line.

    Args:
        report: whose folder holds queries.jsonl.

    Returns:
        Direction -> its queries.

    Raises:
        RunError: the file is missing or damaged, or was written by another evaluation than report.json.
    """
    file = report.folder / QUERIES
    if not file.is_file():
        raise RunError(f"there is no {file}, whose ranks a comparison is computed from. {AGAIN}")
    columns: dict[str, tuple[list[str], list[str], list[int]]] = {name: ([], [], []) for name in report.directions}
    with file.open(encoding="utf-8", errors="surrogateescape", newline="\n") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
                ids, left_items, ranks = columns[row["direction"]]
                values = str(row["query"]), str(row["left_item"]), int(row["rank"])
            except (ValueError, KeyError, TypeError) as error:
                what = f"no such entry as {error}" if isinstance(error, KeyError) else str(error)
                raise RunError(f"{file}, line {number}, is not what fusemix writes ({what}). {AGAIN}") from error
            ids.append(values[0])
            left_items.append(values[1])
            ranks.append(values[2])
    queries = {
        name: Queries(ids, left_items, np.array(ranks, dtype=np.int64))
        for name, (ids, left_items, ranks) in columns.items()
    }
    _require_same_evaluation(report, queries, file)
    return queries


def _require_same_evaluation(report: Report, queries: Mapping[str, Queries], file: Path) -> None:
    if report.data["protocol"].get("folds", 1) != 1:
        return  # the figures are means over folds, which need not be those over all queries
    for direction in report.directions:
        ranks = queries[direction].ranks
        for k in report.ks:
            reported = report.figure(direction, f"{RECALL}{k}")
            counted = float((ranks <= k).mean()) if len(ranks) else 0.0
            if reported is None or abs(counted - reported) > ROUNDING:
                raise RunError(
                    f"{file} and {FILE} are not of one evaluation: {direction}/{RECALL}{k} is {counted:.6f} by the "
                    f"one and {reported} by the other. {AGAIN}"
                )
