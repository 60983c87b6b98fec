"""Search an index by texts, pictures and sounds.

    fusemix search "a dog leaping into water" --index FOLDER [--image FILE] [--audio FILE] [--like ID] [-k 10] [--json]

Several queries are added up. Prints a table, or JSON with the same names as the endpoint of `fusemix serve`.
"""

import json
import logging
import sys
import time
from collections.abc import Sequence
from typing import Any

from rich.table import Table

from fusemix.build.searching import LIKE, Hit, Query, Searcher, summed
from fusemix.config import SearchConfig, load_config
from fusemix.progress import console
from fusemix.visible import shown, visible_json

BAR = 12
"""Characters of the longest score bar."""


def main(argv: Sequence[str]) -> list[Hit]:
    """Embed the queries, search, and print; returns what was found."""
    config = load_config(SearchConfig, argv)
    logging.getLogger("transformers").setLevel(logging.ERROR)
    searcher = Searcher(config.index, config.model, config.device, trust_code=config.trust_code)
    queries = queries_of(config)
    searcher.load([kind for kind, _ in queries if kind != LIKE])
    started = time.perf_counter()
    vector = summed(searcher.embed(queries))
    embedded = time.perf_counter()
    (hits,) = searcher.search(vector[None], config.k)
    searched = time.perf_counter()
    if config.json:
        took = {"encode": embedded - started, "search": searched - embedded}
        sys.stdout.write(visible_json(json.dumps(answer(hits, took), ensure_ascii=False, indent=2)) + "\n")
        return hits
    console.print(table(hits, " + ".join(f"{kind}: {shown(content)}" for kind, content in queries)))
    console.print(
        f"{searcher.index.num_items:,} items{'' if searcher.index.is_exact else ' (approximate)'}; "
        f"query embedded in {1000 * (embedded - started):.0f} ms, searched in {1000 * (searched - embedded):.1f} ms"
    )
    return hits


def queries_of(config: SearchConfig) -> list[Query]:
    """What is asked, in the order texts, pictures, sounds, items."""
    return [
        *(Query("text", text) for text in config.text),
        *(Query("image", path) for path in config.image),
        *(Query("audio", path) for path in config.audio),
        *(Query(LIKE, item) for item in config.like),
    ]


def answer(hits: Sequence[Hit], took: dict[str, float]) -> dict[str, Any]:
    """What was found, as plain data.

    Args:
        hits: best first.
        took: step -> seconds.
    """
    results = [{**hit._asdict(), "score": round(hit.score, 6)} for hit in hits]
    return {"results": results, "took_ms": {step: round(1000 * seconds, 3) for step, seconds in took.items()}}


def table(hits: Sequence[Hit], title: str) -> Table:
    """What was found, for a terminal."""
    drawn = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for name in ("#", "score", ""):
        drawn.add_column(name, justify="left" if name == "" else "right", no_wrap=True)
    drawn.add_column("item", overflow="fold")
    best = max((hit.score for hit in hits), default=1.0)
    for number, hit in enumerate(hits, start=1):
        bar = "━" * max(0, round(BAR * hit.score / best)) if best > 0 else ""
        drawn.add_row(str(number), f"{hit.score:.3f}", bar, "\n".join(map(shown, [hit.id, *hit.captions[:1]])))
    return drawn
