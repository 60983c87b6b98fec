"""Stage 3: measure retrieval with a trained run on a latent set.

    python eval_retrieval.py configs/eval/glyphs.yaml [key=value …]

Reads a run folder and a latent set; writes report.json, report.md, queries.jsonl and examples.png to <out>.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from torch import Tensor

from fusemix import build
from fusemix.config import EvalConfig, load_config
from fusemix.encoders.decoding import decode
from fusemix.environment import describe_environment, resolve_device
from fusemix.errors import ConfigError
from fusemix.files import write_json, write_jsonl, write_text
from fusemix.fusion.runs import CHECKPOINTS, about, read_checkpoint, trained_model
from fusemix.latents.loader import Gallery, gallery_of
from fusemix.latents.sets import LatentSet
from fusemix.progress import console
from fusemix.retrieval.index import GalleryIndex
from fusemix.retrieval.metrics import Direction, measure
from fusemix.retrieval.picture import Example, Found, draw_examples
from fusemix.retrieval.report import markdown, report_data, table

SHOWN = 5
"""Gallery items in the picture, for each query."""


class Searched(NamedTuple):
    """One direction with what FAISS found; `sides` are the positions of query and gallery in the set."""

    direction: Direction
    sides: tuple[int, int]
    scores: np.ndarray
    found: np.ndarray
    linked: set[tuple[int, int]]


def main(argv: Sequence[str]) -> Path:
    """Embed, search, measure, report; returns report.json."""
    config = load_config(EvalConfig, argv)
    device = resolve_device(config.device)
    checkpoint = read_checkpoint(Path(config.run) / CHECKPOINTS / f"{config.checkpoint}.ckpt")
    latent_set = build.evaluation_set(config, about(checkpoint))
    gallery = gallery_of(latent_set)
    _check_depth(config, gallery)
    model = trained_model(checkpoint).to(device)
    rows = (gallery.left_rows, gallery.right_rows)
    embedded = [build.embed(model, side, r, device) for side, r in zip(latent_set.sides, rows, strict=True)]
    modalities = (latent_set.left.modality, latent_set.right.modality)
    directions = measure(embedded[0], embedded[1], gallery.links, modalities, config.ks)
    searched = list(_search(directions, embedded, gallery, config, device))

    out = Path(config.out)
    out.mkdir(parents=True, exist_ok=True)
    report = report_data(
        directions,
        data=_about_data(latent_set),
        model=_about_model(config, checkpoint),
        environment=describe_environment(device),
    )
    picture = _draw(out / "examples.png", searched, latent_set, gallery, config)
    write_jsonl(out / "queries.jsonl", _query_lines(searched, latent_set, gallery))
    write_text(out / "report.md", markdown(directions, report, picture.name if picture else None))
    write_json(out / "report.json", report)
    console.print(table(directions, f"Retrieval on {latent_set.name}"))
    if picture:
        console.print(f"sample queries: {picture}")
    console.print(f"report: {out / 'report.md'} and {out / 'report.json'}")
    return out / "report.json"


def _check_depth(config: EvalConfig, gallery: Gallery) -> None:
    smallest = min(len(gallery.left_rows), len(gallery.right_rows))
    if max(config.ks) > smallest:
        raise ConfigError(
            f"ks asks for the first {max(config.ks)}, but the smaller side of {config.latents} has {smallest} items. "
            f"Set ks to numbers up to {smallest}."
        )


def _search(
    directions: Sequence[Direction],
    embedded: Sequence[Float[Tensor, "_ dim"]],
    gallery: Gallery,
    config: EvalConfig,
    device: str,
) -> Iterator[Searched]:
    for direction, (query, other) in zip(directions, ((0, 1), (1, 0)), strict=True):
        index = GalleryIndex(embedded[other].numpy(), use_gpu=device.startswith("cuda"))
        queries = embedded[query].numpy()[direction.ranks.queries]
        k = min(max(*config.ks, SHOWN), index.num_items)
        scores, found = index.search(queries, k)
        links = set(map(tuple, gallery.links[:, [query, other]].tolist()))
        yield Searched(direction, (query, other), scores, found, links)


def _query_lines(searched: Sequence[Searched], latent_set: LatentSet, gallery: Gallery) -> Iterator[dict[str, Any]]:
    rows = (gallery.left_rows, gallery.right_rows)
    ids = [side.table["id"].to_numpy()[r] for side, r in zip(latent_set.sides, rows, strict=True)]
    for one in searched:
        query_ids, gallery_ids = ids[one.sides[0]], ids[one.sides[1]]
        ranks = one.direction.ranks
        for place, query in enumerate(ranks.queries.tolist()):
            yield {
                "direction": one.direction.name,
                "query": query_ids[query],
                "rank": int(ranks.ranks[place]),
                "found": [gallery_ids[position] for position in one.found[place]],
                "scores": [round(float(score), 6) for score in one.scores[place]],
                "is_linked": [(query, position) in one.linked for position in one.found[place].tolist()],
            }


def _draw(
    path: Path, searched: Sequence[Searched], latent_set: LatentSet, gallery: Gallery, config: EvalConfig
) -> Path | None:
    if config.num_examples == 0:
        return None
    readers = build.content_readers(latent_set, decode)
    rows = (gallery.left_rows, gallery.right_rows)
    read = [readers[side.modality] for side in latent_set.sides]
    generator = np.random.default_rng(config.seed)
    examples = []
    for one in searched:
        query_side, gallery_side = one.sides
        ranks = one.direction.ranks
        count = min(config.num_examples, len(ranks.queries))
        for place in generator.choice(len(ranks.queries), size=count, replace=False):
            query = int(ranks.queries[place])
            found = [
                Found(read[gallery_side](int(rows[gallery_side][p])), float(score), (query, int(p)) in one.linked)
                for p, score in zip(one.found[place][:SHOWN], one.scores[place][:SHOWN], strict=True)
            ]
            examples.append(Example(read[query_side](int(rows[query_side][query])), found, int(ranks.ranks[place])))
    draw_examples(path, examples, f"{latent_set.name}: sample queries and what they found (green: linked)")
    return path


def _about_data(latent_set: LatentSet) -> dict[str, Any]:
    return {
        "name": latent_set.name,
        **{key: latent_set.description[key] for key in ("dataset", "split", "revision")},
        "num_unusable": latent_set.num_unusable,
        "encoders": {side.modality: [store.manifest.encoder for store in side.stores] for side in latent_set.sides},
        "fingerprints": {side.modality: side.fingerprints for side in latent_set.sides},
    }


def _about_model(config: EvalConfig, checkpoint: dict[str, Any]) -> dict[str, Any]:
    record = about(checkpoint)
    return {
        "run": config.run,
        "checkpoint": config.checkpoint,
        "epoch": int(checkpoint["epoch"]),
        "train": record["train"]["name"],
        "validation": record["validation"]["name"],
        "config": record["config"],
    }
