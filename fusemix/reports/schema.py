"""What report.json is called, and how its words are said; so little that reading one needs no torch.

Place in the flow: report.py writes by it, reading.py and the tables read by it.
"""

from collections.abc import Mapping
from typing import Any

from fusemix.disk.discarding import Owned, says

FORMAT = "fusemix.report"
VERSION = 2
"""1 had neither intervals nor protocol, MRR, mAP, nDCG, hubness, baselines and indexes."""
REPORT = Owned(
    "a report",
    lambda folder: says(folder / "report.json", FORMAT, VERSION),
    ("report.json", "report.html", "report.md", "queries.jsonl", "examples.png"),
)


def seen_notes(report: Mapping[str, Any]) -> list[str]:
    """What a report has to say first: what of it the model has learned from, or that this cannot be known."""
    seen = report.get("seen")
    found = [entry.get("note") for entry in seen if isinstance(entry, dict)] if isinstance(seen, list) else []
    return [note for note in found if isinstance(note, str) and note]


def spoken(direction: str) -> str:
    """`text_to_image` -> text to image."""
    return direction.replace("_", " ")
