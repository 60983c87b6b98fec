"""Runs side by side: which of them measured the same items, and what they differ in.

Place in the flow: reports and their queries -> Comparison of each run with the first -> tables, compare.json.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int64

from fusemix.disk.discarding import Owned, says
from fusemix.reports.reading import RECALL, Queries, Report, common_ks, seen_notes
from fusemix.reports.standing import identity_of
from fusemix.retrieval.comparison import DRAWS, Difference, compare_ranks, holm
from fusemix.retrieval.intervals import LEVEL
from fusemix.tables import spoken

FORMAT = "fusemix.comparison"
VERSION = 1
COMPARISON = Owned(
    "a comparison",
    lambda folder: says(folder / "compare.json", FORMAT, VERSION),
    ("compare.json", "compare.html", "compare.md", "compare.png", "compare.svg"),
)
MRR = "mrr"
MOST_CHANGES = 6
DEFINITIONS = {
    "difference": "The run's figure minus that of the first run, both over all queries; a fraction in files, "
    "percentage points in tables.",
    "interval": f"{100 * LEVEL:g} % bootstrap interval of the difference: left items are drawn with replacement, "
    f"each with all its queries, {DRAWS:,} times.",
    "p": "Two-sided paired randomisation test (Smucker, Allan and Carterette, CIKM 2007): how often a difference at "
    "least as large comes out if the two runs are swapped at random, for each left item with all its queries. "
    f"{DRAWS:,} draws, the observed one added (Phipson and Smyth, 2010); all ways where at most 13 items differ.",
    "p_holm": "p after Holm's correction over the runs compared with the first, for each figure by itself. Nothing is "
    "corrected for looking at several figures.",
    "same_items": "Runs are compared where both measured by the same protocol, on item tables and links with equal "
    "SHA-256, and asked the same queries in galleries of equal size.",
}


class Change(NamedTuple):
    """A query that another run finds at another rank.

    Attributes:
        direction: of the query.
        query: its id.
        first, other: ranks of its first linked item in the first run and in the other.
    """

    direction: str
    query: str
    first: int
    other: int


@dataclass(frozen=True)
class Comparison:
    """A run against the first.

    Attributes:
        run: its name.
        reasons: why it cannot be compared; empty where it can.
        differences: `<direction>/<metric>` -> run minus first; empty where it cannot be compared.
        p_holm: the p-values of `differences`, corrected for the number of runs.
        changes: queries of each direction whose ranks changed most: first those that the run finds earlier.
    """

    run: str
    reasons: Sequence[str]
    differences: Mapping[str, Difference]
    p_holm: Mapping[str, float]
    changes: Sequence[Change] = ()


def reasons_against(first: Report, other: Report) -> list[str]:
    """Why figures of two reports do not belong side by side, as clauses; none where they do."""
    found = []
    names = [report.data["protocol"]["name"] for report in (other, first)]
    if names[0] != names[1]:
        found.append(f"it was measured by the protocol {names[0]}, the first by {names[1]}")
    found += _other_data(first.data["data"], other.data["data"])
    for direction in first.directions:
        counts = [report.data["counts"][direction] for report in (other, first)]
        if any(counts[0][key] != counts[1][key] for key in ("queries", "gallery")):
            sizes = [f"{count['queries']:,} queries in {count['gallery']:,} items" for count in counts]
            found.append(f"{spoken(direction)} is {sizes[0]}, in the first {sizes[1]}")
    return found


def _other_data(first: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    hashes = [data.get("sha256") or {} for data in (other, first)]
    parts = {"left": "left items", "right": "right items", "links": "links"}
    unknown = [
        which for which, known in zip(("it", "the first"), hashes, strict=True) if not parts.keys() <= known.keys()
    ]
    if unknown:
        return [f"{' and '.join(unknown)} {'does' if len(unknown) == 1 else 'do'} not say which items were measured"]
    differing = [words for key, words in parts.items() if hashes[0][key] != hashes[1][key]]
    if not differing:
        return []
    what = " and ".join([", ".join(differing[:-1]), differing[-1]] if differing[:-1] else differing)
    if other["name"] != first["name"]:
        return [f"it was measured on {other['name']}, the first on {first['name']} ({what} differ)"]
    return [f"its {what} are not those of the first, though both are called {first['name']}"]


def compare_runs(
    reports: Sequence[Report],
    names: Sequence[str],
    read: Callable[[Report], dict[str, Queries]],
    advance: Callable[[int], None] = lambda count: None,
) -> list[Comparison]:
    """Compare every run with the first.

    Args:
        reports, names: of the runs, the first first.
        read: gives the queries of a report; called for reports that can be compared alone.
        advance: told when a run is done.

    Raises:
        RunError: the queries of a report cannot be read.
    """
    first, metrics = reports[0], [*(f"{RECALL}{k}" for k in common_ks(reports)), MRR]
    reasons = [reasons_against(first, report) for report in reports[1:]]
    queries = read(first) if not all(reasons) else {}
    compared = []
    for report, name, why in zip(reports[1:], names[1:], reasons, strict=True):
        theirs = {} if why else read(report)
        other_queries = why or _other_queries(queries, theirs)
        differences = {} if other_queries else _differences(queries, theirs, metrics)
        compared.append((name, other_queries, differences, [] if other_queries else largest_changes(queries, theirs)))
        advance(1)
    corrected = _corrected([differences for _, _, differences, _ in compared])
    return [
        Comparison(name, why, differences, p_holm, changes)
        for (name, why, differences, changes), p_holm in zip(compared, corrected, strict=True)
    ]


def largest_changes(first: Mapping[str, Queries], other: Mapping[str, Queries]) -> list[Change]:
    """The queries whose ranks changed by the largest factors, MOST_CHANGES in each direction and either way.

    Args:
        first, other: direction -> queries; of the same items.
    """
    found = []
    for direction, queries in first.items():
        before, after, _ = _paired(queries, other[direction])
        ids = [query for query, _ in sorted(_keys(queries))]
        factors = np.log(after) - np.log(before)
        order = np.argsort(factors, kind="stable")
        ends = [*order[:MOST_CHANGES], *order[::-1][:MOST_CHANGES][::-1]]
        places = [place for place in dict.fromkeys(map(int, ends)) if factors[place]]
        found += [Change(direction, ids[place], int(before[place]), int(after[place])) for place in places]
    return found


def _differences(
    first: Mapping[str, Queries], other: Mapping[str, Queries], metrics: Sequence[str]
) -> dict[str, Difference]:
    return {
        f"{direction}/{metric}": difference
        for direction in first
        for metric, difference in compare_ranks(*_paired(first[direction], other[direction]), metrics).items()
    }


def _keys(queries: Queries) -> list[tuple[str, str]]:
    return list(zip(queries.ids, queries.left_items, strict=True))


def _other_queries(first: Mapping[str, Queries], other: Mapping[str, Queries]) -> list[str]:
    found = []
    for direction, queries in first.items():
        mine, theirs = Counter(_keys(queries)), Counter(_keys(other[direction]))
        if mine != theirs:
            more, less = (theirs - mine).total(), (mine - theirs).total()
            found.append(
                f"{spoken(direction)} has {more:,} queries that the first has not, and lacks {less:,} of its queries"
            )
    return found


def _paired(
    first: Queries, other: Queries
) -> tuple[Int64[np.ndarray, " queries"], Int64[np.ndarray, " queries"], Int64[np.ndarray, " queries"]]:
    """Ranks in the first, ranks in the other, and the left item as a number, query by query in one order."""
    # A caption that belongs to two folds is asked twice; sorting is stable, so its ranks stay in the order of folds.
    orders = [sorted(range(len(keys)), key=keys.__getitem__) for keys in (_keys(first), _keys(other))]
    numbers = {item: number for number, item in enumerate(sorted(set(first.left_items)))}
    items = np.array([numbers[first.left_items[place]] for place in orders[0]], dtype=np.int64)
    return first.ranks[orders[0]], other.ranks[orders[1]], items


def _corrected(differences: Sequence[Mapping[str, Difference]]) -> list[dict[str, float]]:
    corrected: list[dict[str, float]] = [{} for _ in differences]
    for key in dict.fromkeys(key for made in differences for key in made):
        having = [place for place, made in enumerate(differences) if key in made]
        ps = holm(np.array([differences[place][key].p for place in having]))
        for place, p in zip(having, ps.tolist(), strict=True):
            corrected[place][key] = p
    return corrected


def compared(names: Sequence[Any], identities: Sequence[Any]) -> dict[str, Any]:
    """What a comparison is one of, as plain data: its runs in order, and what each of their reports is one of."""
    return {"runs": list(names), "reports": list(identities)}


def compared_in(data: Mapping[str, Any]) -> dict[str, Any]:
    """The same out of compare.json."""
    runs = [run for run in data.get("runs") or [] if isinstance(run, dict)]
    return compared([run.get("name") for run in runs], [run.get("identity") for run in runs])


def comparison_data(
    reports: Sequence[Report], names: Sequence[str], comparisons: Sequence[Comparison]
) -> dict[str, Any]:
    """Everything compared, as plain data for compare.json."""
    runs = [
        {"name": name, "report": str(report.folder), "data": report.data["data"]["name"]}
        | {"identity": identity_of(report.data), "seen": seen_notes(report.data)}
        | {key: report.data.get(key, {}) for key in ("protocol", "counts", "metrics", "intervals")}
        for name, report in zip(names, reports, strict=True)
    ]
    return {
        "format": FORMAT,
        "version": VERSION,
        "first": names[0],
        "runs": runs,
        "comparisons": [
            {
                "run": made.run,
                "is_comparable": not made.reasons,
                "reasons": list(made.reasons),
                "differences": {
                    key: {
                        "difference": difference.difference,
                        "interval": [difference.low, difference.high],
                        "p": difference.p,
                        "p_holm": made.p_holm[key],
                        "num_items": difference.num_items,
                        "num_differing": difference.num_differing,
                    }
                    for key, difference in made.differences.items()
                },
            }
            for made in comparisons
        ],
        "definitions": DEFINITIONS,
    }
