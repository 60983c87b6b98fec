"""Facts about latents as tables for the terminal, readable in 80 columns.

Place in the flow: inspection.py -> rich tables -> `fusemix info`.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
from rich.console import RenderableType
from rich.table import Column, Table
from rich.text import Text

from fusemix.interfaces import Rejected
from fusemix.latents.description import ITEMS_OF, SELECTION, items_folder
from fusemix.latents.inspection import SetFacts, StoreFacts, flattened, reasons
from fusemix.tables import pairs, terminal_table

SHOWN_ITEMS = 3
SHOWN_REASONS = 6
SHOWN_COLUMNS = ("caption", "path", "url")
"""Columns of an item table that show an item to a person."""


def show_set(facts: SetFacts) -> Iterator[RenderableType]:
    """Tables of a latent set, without its stores."""
    about = facts.description
    rows = [("data set", about["dataset"]), ("revision", about["revision"]), ("split", about["split"])]
    rows += [(f"{modality} items", f"{len(table):,}") for modality, table in facts.items.items()]
    rows += [("links", f"{about['num_links']:,}")]
    if "num_captions" in about:
        rows += [("captions as written", f"{about['num_captions']:,}")]
    if ITEMS_OF in about:
        rows += [("subset of", str(items_folder(facts.folder, about))), *_selection(about)]
    else:
        rows += [("left out", f"{len(facts.excluded):,}")]
    rows += [(f"source.{name}", value) for name, value in flattened(about["source"])]
    yield pairs(f"latent set {facts.folder}", rows)
    if facts.excluded:
        yield from _rejected("left out by the data set", facts.excluded)
    for modality, table in facts.items.items():
        yield _items(modality, table)
    if not facts.stores:
        text = "It holds no latent store yet. Fill it with cache_features.py or `fusemix import`."
        yield Text(text, style="yellow")


def _selection(about: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(f"selection.{name}", value) for name, value in flattened(about.get(SELECTION, {}))]


def show_store(facts: StoreFacts, *, with_items: bool) -> Iterator[RenderableType]:
    """Tables of a latent store; `with_items` also shows some of its items."""
    rows: list[tuple[str, str]] = []
    if facts.manifest:
        manifest = facts.manifest
        size = sum(shard.num_bytes for shard in manifest.shards)
        rows = [
            ("encoder", manifest.encoder),
            ("modality", manifest.modality),
            ("latents", f"{manifest.num_rows:,} × {manifest.dim} {manifest.dtype}"),
            ("shards", f"{len(manifest.shards):,} of up to {manifest.shard_size:,} rows, {size / 1e6:,.1f} MB"),
            ("without latent", f"{manifest.num_rejected:,}"),
            *(("accepted", f"{one.field}: {one.on_disk!r}, and {one.now!r} later") for one in manifest.accepted),
        ]
    told = {"dim", "dtype", "shard_size"} if facts.manifest else set()
    rows += [line for line in flattened(facts.fingerprint) if line[0] not in told]
    yield pairs(f"latent store {facts.folder}", rows)
    if facts.problem:
        yield Text(facts.problem, style="yellow")
    if facts.norms:
        yield _norms(facts)
    if facts.rejected:
        yield from _rejected("without latent", facts.rejected)
    if with_items and facts.items is not None:
        yield _items(facts.folder.parent.name, facts.items)


def _norms(facts: StoreFacts) -> Table:
    norms = facts.norms
    assert norms is not None
    rows = [
        ("mean ± std", f"{norms.mean:.4g} ± {norms.std:.3g}"),
        ("smallest, largest", f"{norms.smallest:.4g}, {norms.largest:.4g}"),
        ("constant dimensions", f"{norms.num_constant:,}"),
        ("share of the mean", f"{norms.shared:.3f} (norm of the mean latent over the mean norm; 1: all point one way)"),
    ]
    return pairs(f"L2 norms of {norms.num_rows:,} latents", rows)


def _rejected(title: str, rejected: Sequence[Rejected]) -> Iterator[Table]:
    counted = reasons(rejected)
    rows = [[stage, reason, f"{count:,}"] for stage, reason, count in counted[:SHOWN_REASONS]]
    if rest := sum(count for *_, count in counted[SHOWN_REASONS:]):
        rows.append(["…", "other reasons", f"{rest:,}"])
    heads = [*_words("stage", "reason"), Column("items", justify="right", overflow="fold")]
    yield terminal_table(f"{title}: {len(rejected):,}", heads, rows)
    first = [[item.id, item.stage, item.reason] for item in rejected[:SHOWN_ITEMS]]
    yield terminal_table("the first of them", _words("id", "stage", "reason"), first)


def _items(modality: str, table: pa.Table) -> Table:
    column = next((name for name in SHOWN_COLUMNS if name in table.column_names), None)
    names = ["id", column] if column else ["id"]
    rows = [[str(row[name]) for name in names] for row in table.slice(0, SHOWN_ITEMS).to_pylist()]
    return terminal_table(f"the first {modality} items", _words(*names), rows)


def _words(*names: str) -> list[Column]:
    return [Column(name, overflow="fold") for name in names]


def in_a_line(facts: SetFacts) -> str:
    """A latent set among others: what it is of, how large, and which latents it holds."""
    about = facts.description
    counts = " and ".join(f"{len(table):,} {modality}" for modality, table in facts.items.items())
    stores = ", ".join(f"{store.parent.name}/{store.name}" for store in facts.stores) or "no latents yet"
    return f"{about['dataset']}/{about['split']}: {counts}, {about['num_links']:,} links; {stores}"
