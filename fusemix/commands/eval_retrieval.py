"""Stage 3: measure retrieval with a trained run on a latent set.

    python eval_retrieval.py configs/eval/glyphs.yaml [key=value …]

Reads a run folder and a latent set; writes report.json, report.md, queries.jsonl and examples.png to <out>.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fusemix.build import evaluate as build
from fusemix.config import EvalConfig, load_config
from fusemix.encoders.decoding import decode
from fusemix.environment import describe_environment, resolve_device
from fusemix.errors import ConfigError
from fusemix.files import write_json, write_jsonl, write_text
from fusemix.fusion.runs import CHECKPOINTS, about, read_checkpoint, trained_model
from fusemix.latents.galleries import Gallery, gallery_of
from fusemix.latents.sets import LatentSet
from fusemix.progress import console
from fusemix.retrieval.metrics import measure
from fusemix.retrieval.picture import draw_examples
from fusemix.retrieval.report import markdown, report_data, table
from fusemix.retrieval.results import Results, query_lines, sample_examples, search_results

SHOWN = 5
"""Gallery items in the picture, for each query."""


def main(argv: Sequence[str]) -> Path:
    """Embed, measure, search, report; returns report.json."""
    config = load_config(EvalConfig, argv)
    device = resolve_device(config.device)
    checkpoint = read_checkpoint(Path(config.run) / CHECKPOINTS / f"{config.checkpoint}.ckpt")
    latent_set = build.evaluation_set(config, about(checkpoint))
    gallery = gallery_of(latent_set)
    _check_depth(config, gallery)
    model = trained_model(checkpoint).to(device)
    left, right = (
        build.embed(model, side, rows, device) for side, rows in zip(latent_set.sides, gallery.rows, strict=True)
    )
    modalities = (latent_set.left.modality, latent_set.right.modality)
    directions = measure(left, right, gallery.links, modalities, config.ks)
    k = min(max(*config.ks, SHOWN), len(left), len(right))
    on_gpu = device.startswith("cuda")
    results = (
        search_results(directions[0], left, right, gallery.links, k=k, use_gpu=on_gpu),
        search_results(directions[1], right, left, gallery.links[:, ::-1], k=k, use_gpu=on_gpu),
    )
    report = report_data(
        directions,
        data=_about_data(latent_set),
        model=_about_model(config, checkpoint),
        environment=describe_environment(device),
    )
    console.print(table(directions, f"Retrieval on {latent_set.name}"))
    return _write(Path(config.out), report, results, latent_set, gallery, config)


def _write(
    out: Path,
    report: dict[str, Any],
    results: tuple[Results, Results],
    latent_set: LatentSet,
    gallery: Gallery,
    config: EvalConfig,
) -> Path:
    out.mkdir(parents=True, exist_ok=True)
    sides = zip(latent_set.sides, gallery.rows, strict=True)
    ids = [side.table["id"].take(rows).to_pylist() for side, rows in sides]
    lines = [*query_lines(results[0], ids[0], ids[1]), *query_lines(results[1], ids[1], ids[0])]
    write_jsonl(out / "queries.jsonl", lines)
    picture = out / "examples.png" if config.num_examples else None
    if picture:
        _draw(picture, results, latent_set, gallery, config)
        console.print(f"sample queries: {picture}")
    directions = [result.direction for result in results]
    write_text(out / "report.md", markdown(directions, report, picture.name if picture else None))
    write_json(out / "report.json", report)
    console.print(f"report: {out / 'report.md'} and {out / 'report.json'}")
    return out / "report.json"


def _draw(
    path: Path, results: tuple[Results, Results], latent_set: LatentSet, gallery: Gallery, config: EvalConfig
) -> None:
    read_left, read_right = build.content_readers(latent_set, gallery, decode)
    how: dict[str, Any] = {"num_examples": config.num_examples, "num_found": SHOWN}
    how["generator"] = np.random.default_rng(config.seed)
    examples = sample_examples(results[0], read_left, read_right, **how)
    examples += sample_examples(results[1], read_right, read_left, **how)
    draw_examples(path, examples, f"{latent_set.name}: sample queries and what they found (green: linked)")


def _check_depth(config: EvalConfig, gallery: Gallery) -> None:
    smallest = min(len(gallery.left_rows), len(gallery.right_rows))
    if max(config.ks) > smallest:
        raise ConfigError(
            f"ks asks for the first {max(config.ks)}, but the smaller side of {config.latents} has {smallest} items. "
            f"Set ks to numbers up to {smallest}."
        )


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
