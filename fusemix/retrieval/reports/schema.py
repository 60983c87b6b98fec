"""What report.json is called, and how its words are said; so little that reading one needs no torch.

Place in the flow: report.py writes by it, reading.py and the tables read by it.
"""

from fusemix.discarding import Owned, says

FORMAT = "fusemix.report"
VERSION = 2
"""1 had neither intervals nor protocol, MRR, mAP, nDCG, hubness, baselines and indexes."""
REPORT = Owned(
    "a report",
    lambda folder: says(folder / "report.json", FORMAT, VERSION),
    ("report.json", "report.html", "report.md", "queries.jsonl", "examples.png"),
)


def spoken(direction: str) -> str:
    """`text_to_image` -> text to image."""
    return direction.replace("_", " ")
