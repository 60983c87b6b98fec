"""The figures of a run of benchmarks/gpu.py as a section of a Markdown file."""

import re
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any

BEGIN, END = "<!-- benchmarks/gpu.py writes from here -->", "<!-- to here -->"
ABOUT = ("device", "cuda", "driver", "python", "versions")
APART = {"part", "ok", "sec", "failed", "skipped", "error", "where"}
STATES = {True: "ok", False: "**failed**", None: "not run"}


def write_section(path: Path, lines: Sequence[dict[str, Any]], *, tiny: bool) -> None:
    """Write the text between the two marks of a file again; one that is not there, or has no marks, gets them."""
    from fusemix.disk.files import write_text

    text = path.read_text(encoding="utf-8") if path.exists() else ""
    section = f"{BEGIN}\n{section_of(lines, date.today().isoformat(), tiny=tiny)}\n{END}"
    marked = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
    text = marked.sub(lambda _: section, text) if marked.search(text) else f"{text.rstrip()}\n\n{section}\n".lstrip()
    write_text(path, text)


def section_of(lines: Sequence[dict[str, Any]], day: str, *, tiny: bool) -> str:
    """Where and when, and one row a part."""
    about = next((line for line in lines if line["part"] == "machine"), {})
    told = "; ".join(f"{name} {value}" for name, value in flat({key: about[key] for key in ABOUT if about.get(key)}))
    rows = [f"| {line['part']} | {STATES[line['ok']]} | {line['sec']} | {cell(line)} |" for line in lines]
    kind = "`--tiny`, which checks the parts and no GPU" if tiny else "in full"
    return "\n".join([f"Run on {day}, {kind}. {told}.", "", "| part | | sec | figures |", "|---|---|--:|---|", *rows])


def cell(line: dict[str, Any]) -> str:
    """A part's figures in one cell, and what went wrong before them."""
    wrong = [f"**{line[key]}**" for key in ("failed", "error") if line.get(key)]
    figures = [f"{name} {value}" for name, value in flat({k: v for k, v in line.items() if k not in APART})]
    return "; ".join([*wrong, *([line["skipped"]] if "skipped" in line else []), *figures]).replace("|", "\\|")


def flat(figures: dict[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Nested names joined by a stroke."""
    for key, value in figures.items():
        if isinstance(value, dict):
            yield from flat(value, f"{above}{key} / ")
        else:
            yield f"{above}{key}", value
