"""How the house is built: rooms, files, functions, who imports whom, and lines that stand in it twice.

    python benchmarks/house.py [CHECKOUT …] [--json FILE]

A column a checkout, so that a change can be seen beside what was there before (`git worktree add ../before REVISION`).
Only the source is read; nothing is imported.
"""

import argparse
import ast
import json
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

PACKAGE = "fusemix"
RUN = 6
"""Lines that stand in two places, one after the other, before they count as repeated."""


def measured(root: Path) -> dict[str, Any]:
    """Figures of one checkout."""
    texts = {
        path.relative_to(root): path.read_text(encoding="utf-8") for path in sorted((root / PACKAGE).rglob("*.py"))
    }
    trees = {path: ast.parse(text) for path, text in texts.items()}
    lengths = sorted(text.count("\n") for text in texts.values())
    functions = sorted(length for tree in trees.values() for length in _lengths_of_functions(tree))
    rooms = Counter(path.parent.as_posix() for path in texts)
    arrows = _arrows(trees)
    return {
        "files": len(texts),
        "lines": sum(lengths),
        "lines of a file, median": int(statistics.median(lengths)),
        "lines of a file, 90 %": _at(lengths, 0.9),
        "lines of a file, most": lengths[-1],
        "lines of a function, median": int(statistics.median(functions)),
        "lines of a function, 99 %": _at(functions, 0.99),
        "lines of a function, most": functions[-1],
        "modules at the top": rooms[PACKAGE],
        "rooms": len(rooms),
        "files in the largest room": max(rooms.values()),
        "the largest room": rooms.most_common(1)[0][0],
        "modules of one name, most": max(Counter(p.stem for p in texts if p.stem != "__init__").values()),
        "pairs of packages, one importing the other": len(arrows),
        "imports between packages": sum(arrows.values()),
        "packages in circles": len(_in_circles(set(arrows))),
        f"lines in repeated runs of {RUN} or more": _repeated(texts),
        "lines of tests": sum(path.read_text(encoding="utf-8").count("\n") for path in (root / "tests").rglob("*.py")),
    }


def _at(ordered: list[int], share: float) -> int:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def _lengths_of_functions(tree: ast.AST) -> Iterator[int]:
    """Lines of each function, without its docstring."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0]
            is_text = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
            told = (first.end_lineno or 0) - first.lineno + 1 if is_text and ast.get_docstring(node) else 0
            yield (node.end_lineno or 0) - node.lineno + 1 - told


def _arrows(trees: dict[Path, ast.Module]) -> Counter[tuple[str, str]]:
    """How often each package names modules of each other one; modules at the top are a package each."""
    found: Counter[tuple[str, str]] = Counter()
    for path, tree in trees.items():
        here = path.with_suffix("").parts[1]
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"{PACKAGE}."):
                there = str(node.module).split(".")[1]
                found[here, there] += here != there
    return Counter({arrow: count for arrow, count in found.items() if count})


def _in_circles(arrows: set[tuple[str, str]]) -> set[str]:
    """Packages from which a way of imports leads back to themselves."""
    onward = defaultdict(set)
    for here, there in arrows:
        onward[here].add(there)

    def reached(start: str) -> set[str]:
        seen, waiting = set(), [*onward[start]]
        while waiting:
            at = waiting.pop()
            if at not in seen:
                seen.add(at)
                waiting += onward[at]
        return seen

    return {package for package in list(onward) if package in reached(package)}


def _repeated(texts: dict[Path, str]) -> int:
    """Lines of code that lie in a run which stands somewhere else, too; imports, comments and texts are no code."""
    places = defaultdict(list)
    for path, text in texts.items():
        lines = _code(text)
        for at in range(len(lines) - RUN + 1):
            places[tuple(line for _, line in lines[at : at + RUN])].append([(path, n) for n, _ in lines[at : at + RUN]])
    return len({line for found in places.values() if len(found) > 1 for run in found for line in run})


def _code(text: str) -> list[tuple[int, str]]:
    """Lines of code with their numbers."""
    left_out = {
        number
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Import | ast.ImportFrom)
        or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
        for number in range(node.lineno, (node.end_lineno or 0) + 1)
    }
    lines = ((number, line.strip()) for number, line in enumerate(text.splitlines(), start=1))
    return [(n, line) for n, line in lines if n not in left_out and any(map(str.isalnum, line)) and line[0] != "#"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkouts", nargs="*", type=Path, default=[Path(__file__).parents[1]])
    parser.add_argument("--json", type=Path, help="also write the figures there")
    arguments = parser.parse_args()
    figures = {path.resolve().name: measured(path) for path in arguments.checkouts}
    table = Table("", *figures, title="The house", title_justify="left")
    for name in next(iter(figures.values())):
        table.add_row(name, *(f"{of[name]:,}" if isinstance(of[name], int) else of[name] for of in figures.values()))
    Console().print(table)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
