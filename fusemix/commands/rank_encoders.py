"""Compare the encoders of a latent set before anything is trained.

    fusemix rank-encoders FOLDER [out=FOLDER] [key=value …]

Scores every pair of a store on the left and one on the right. Prints tables; with out it also writes ranking.json,
table.md, ranking.png and ranking.svg there.
"""

import time
from pathlib import Path
from typing import Any

from fusemix.config import RankConfig
from fusemix.disk.files import write_json, write_text
from fusemix.disk.locks import one_writer
from fusemix.machine.environment import describe_environment
from fusemix.progress import console, counting
from fusemix.reports.encoders.picture import draw_ranking
from fusemix.reports.encoders.report import (
    DRAWING,
    FILE,
    MARKDOWN,
    PICTURE,
    RANKING,
    identity_of,
    markdown,
    report_data,
    tables,
)
from fusemix.reports.standing import place_for, shown_at_least
from fusemix.wiring.ranking.plain import plain
from fusemix.wiring.ranking.plan import Plan, plan_of
from fusemix.wiring.ranking.scores import folds_of, num_stores, prepared_stores, ranking_of

WIDTH = 80
"""Columns that every terminal has."""


def main(config: RankConfig) -> dict[str, Any]:
    """Score, print, write; returns the content of ranking.json."""
    if config.out is None:
        report = _report(plan_of(config))
        _show(report)
        return report
    with one_writer(config.out, doing="rank_encoders", wait_sec=config.wait_sec):
        return _into(Path(config.out), plan_of(config))


def _into(out: Path, plan: Plan) -> dict[str, Any]:
    found: dict[str, Any] = {"file": FILE, "identity": identity_of}
    with place_for(out, RANKING, plan.about(), overwrite=plan.config.overwrite, **found) as place:
        report = _report(plan)
        with shown_at_least(lambda: _show(report)):
            _write(place, report)
    _show(report)
    console.print(f"ranking: {out / MARKDOWN}, {PICTURE}, {FILE}")
    return report


def _report(plan: Plan) -> dict[str, Any]:
    started, (left, right) = time.monotonic(), num_stores(plan)
    folds = folds_of(plan)
    with counting("stores read", left + right) as advance:
        stores = prepared_stores(plan, folds, advance)
    with counting("pairs of stores scored", left * right) as advance:
        ranking = ranking_of(plan, stores, folds, advance)
    seconds = round(time.monotonic() - started, 1)
    settings = {name: getattr(plan.config, name) for name in ("encoders", "num_pairs", "k", "labels", "seed")}
    about = {"settings": settings, "seconds": seconds, "environment": describe_environment("cpu")}
    return report_data(plain(plan, ranking), **about)


def _show(report: dict[str, Any]) -> None:
    for part in tables(report):
        console.print(part, width=min(WIDTH, console.width), soft_wrap=False)


def _write(place: Path, report: dict[str, Any]) -> None:
    place.mkdir(parents=True, exist_ok=True)
    write_json(place / FILE, report)
    if lost := draw_ranking([place / PICTURE, place / DRAWING], report):
        console.print(lost)
    write_text(place / MARKDOWN, markdown(report))
