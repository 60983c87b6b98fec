"""Search an index by texts, pictures and sounds.

    fusemix search "a dog leaping into water" --index FOLDER [--image FILE] [--audio FILE] [--like ID] [-k 10] [--json]

Several queries are added up; a text such as `"beach" - "people"` is a sum, too. Prints a table, or JSON with the same
names as the endpoint of `fusemix serve`.
"""

import json
import logging
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.style import Style
from rich.table import Column, Table
from rich.text import Text

from fusemix.config import SearchConfig
from fusemix.machine.environment import one_device
from fusemix.models.places import Place
from fusemix.models.queries import LIKE, given, summed, told
from fusemix.progress import console
from fusemix.search.filters import filter_of
from fusemix.tables import BARE, terminal_table
from fusemix.visible import shown, visible_json
from fusemix.wiring.searching.fitting import num_above
from fusemix.wiring.searching.grouping import grouped
from fusemix.wiring.searching.queries import written_in
from fusemix.wiring.searching.scopes import Scope
from fusemix.wiring.searching.searcher import Hit, Searcher
from fusemix.wiring.searching.spaces import Cuts

BAR = 12
"""Characters of the longest score bar."""
BELOW, NOTHING_FITS = (
    "below: more likely wrong than right",
    "nothing fits: all of these are more likely wrong than right",
)


def main(config: SearchConfig) -> list[Hit]:
    """Embed the queries, search, and print; returns what was found."""
    logging.getLogger("transformers").setLevel(logging.ERROR)
    device = one_device(config.compute.accelerator, config.compute.devices)
    how = {"trust_code": config.trust_code, "hub_correction": config.hub_correction}
    searcher = Searcher(config.index, config.model, device, **how)
    queries = given(config.text, config.image, config.audio, config.like)
    scope = searcher.scope(queries, config.modality, filter_of(config.filter))
    searcher.load([query.kind for query in queries if query.kind != LIKE])
    started = time.perf_counter()
    vector = summed(searcher.embed(queries), searcher.weights(queries), [query.weight for query in queries])
    embedded = time.perf_counter()
    duplicates: list[list[Hit]] | None = None
    if config.group_duplicates:
        hits, duplicates = grouped(searcher, vector, config.k, scope, written_in(queries))
    else:
        (hits,) = searcher.search(vector[None], config.k, scope, [written_in(queries)])
    searched = time.perf_counter()
    cuts = searcher.cuts(queries, scope)
    places = searcher.places([hit.position for hit in hits])
    if config.json:
        took = {"encode": embedded - started, "search": searched - embedded}
        found = answer(hits, places, took, searcher.count(scope), cuts, duplicates)
        sys.stdout.write(visible_json(json.dumps(found, ensure_ascii=False, indent=2)) + "\n")
        return hits
    console.print(table(hits, places, told(queries, shown), cuts, duplicates))
    console.print(
        f"{_among(searcher, scope)}{'' if searcher.index.is_exact else ' (approximate)'}; "
        f"query embedded in {1000 * (embedded - started):.0f} ms, searched in {1000 * (searched - embedded):.1f} ms"
    )
    return hits


def _among(searcher: Searcher, scope: Scope) -> str:
    size = f"{searcher.index.num_items:,} items"
    return size if scope.where is None else f"{searcher.count(scope):,} of {size}"


def answer(
    hits: Sequence[Hit],
    places: Sequence[Place],
    took: dict[str, float],
    num_items: int,
    cuts: Cuts,
    duplicates: Sequence[Sequence[Hit]] | None = None,
) -> dict[str, Any]:
    """What was found, as plain data.

    Args:
        hits: best first.
        places: where each lies.
        took: step -> seconds.
        num_items: that were looked among.
        cuts: see `Searcher.cuts`.
        duplicates: of each hit, where these are grouped.
    """
    results = [
        {**hit._asdict(), "score": round(hit.score, 6), **place._asdict()}
        for hit, place in zip(hits, places, strict=True)
    ]
    for result, others in zip(results, duplicates or [], strict=duplicates is not None):
        result["duplicates"] = [
            {"position": hit.position, "id": hit.id, "score": round(hit.score, 6)} for hit in others
        ]
    times = {step: round(1000 * seconds, 3) for step, seconds in took.items()}
    rounded = {modality: round(score, 6) for modality, score in cuts.items()}
    return {"results": results, "num_items": num_items, "cuts": rounded, "took_ms": times}


def table(
    hits: Sequence[Hit],
    places: Sequence[Place],
    title: str,
    cuts: Cuts,
    duplicates: Sequence[Sequence[Hit]] | None = None,
) -> Table:
    """What was found, for a terminal: each item with its first caption, where it lies, and how many are like it.

    A line says below which of them nothing fits.
    """
    heads = [Column("#", justify="right", no_wrap=True), "score", Column(no_wrap=True), Column("item", overflow="fold")]
    rows = []
    best, line = max((hit.score for hit in hits), default=1.0), num_above(hits, cuts)
    for number, (hit, place) in enumerate(zip(hits, places, strict=True), start=1):
        if number == line + 1:
            rows.append(["", "", "", Text(NOTHING_FITS if line == 0 else BELOW, style="yellow")])
        bar = "━" * max(0, round(BAR * hit.score / best)) if best > 0 else ""
        lines = [Text(shown(line)) for line in (hit.id, *hit.captions[:1])]
        if duplicates and (others := duplicates[number - 1]):
            lines.append(Text(f"and {len(others):,} almost the same", style="dim"))
        rows.append([str(number), f"{hit.score:.3f}", bar, Text("\n").join([*lines, *_where(hit.id, place)])])
    return terminal_table(title, heads, rows, frame=BARE)


def _where(item: str, place: Place) -> Iterator[Text]:
    """The path from where one stands, which a terminal may open; or what holds the item."""
    if place.path is None:
        if place.within is not None:
            yield Text(f"in {shown(place.within)}", style="dim")
        return
    path = Path(place.path)
    told = str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else place.path
    if not path.exists():
        yield Text(f"{shown(told)} (no longer there)", style="yellow")
    elif told != item:
        yield Text(shown(told), style=Style(dim=True, link=path.as_uri()))
