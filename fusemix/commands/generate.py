"""Draw pictures from sounds, texts and pictures.

    fusemix generate --audio rain.wav --model RUN --pipeline FOLDER --out FOLDER [--num 4] [--seed 0]

Reads a run that leaves the space of a generator as it is, and the generator; writes PNGs, sheet.png and generated.json
to <out>. What was drawn stays when the command is killed, and the same command draws what is missing.
"""

import gc
import logging
from pathlib import Path

import numpy as np
import torch

from fusemix.config import GenerateConfig
from fusemix.disk.discarding import take_place
from fusemix.disk.locks import one_writer
from fusemix.machine.environment import describe_environment, installed, one_device
from fusemix.progress import console, counting
from fusemix.reports.contact_sheet import MOST, draw_sheet
from fusemix.wiring.generating.drawing import Drawer, drawn
from fusemix.wiring.generating.pictures import OWNED, SHEET, Folder, pictures_of, place_for
from fusemix.wiring.generating.plan import Plan, plan_of
from fusemix.wiring.generating.sources import grey_latent, latents_of

AT_ONCE = 8
"""Pictures, where nothing is said; half as many where memory does not suffice."""


def main(config: GenerateConfig) -> Path:
    """Embed what is asked, draw, and lay out a sheet; returns the folder."""
    logging.getLogger("transformers").setLevel(logging.ERROR)
    with one_writer(config.out, doing="generate", wait_sec=config.wait_sec):
        return _generate(config, Path(config.out))


def _generate(config: GenerateConfig, out: Path) -> Path:
    device = one_device(config.compute.accelerator, config.compute.devices)
    plan = plan_of(config, device)
    place = place_for(out, plan.settings, overwrite=config.overwrite)
    pictures = pictures_of(len(plan.queries), config.num, config.seed)
    folder = Folder(place, plan.settings, plan.licences, plan.names, pictures)
    if place == out and folder.is_done:
        console.print(f"{out} has these pictures already; overwrite=true draws them again")
        return out
    if missing := folder.missing():
        if len(missing) < len(pictures):
            console.print(f"going on: {len(pictures) - len(missing):,} of {len(pictures):,} pictures are drawn already")
        _draw(folder, plan, _latents(plan), config, device)
    if lost := draw_sheet(place / SHEET, [place / one.file for one in pictures], folder.captions(), config.num):
        console.print(lost)
    folder.end({**describe_environment(device), "diffusers": installed("diffusers")})
    if place != out:
        take_place(place, out, OWNED)
    more = f" ({SHEET} shows the first {MOST:,})" if len(pictures) > MOST else ""
    console.print(f"{len(pictures):,} pictures in {out}, all on {SHEET}{more}")
    return out


def _latents(plan: Plan) -> tuple[np.ndarray, np.ndarray]:
    """What is drawn from, a row a query, and what guidance leads away from; then the encoders make room."""
    found = latents_of(plan.embedder, plan.space, plan.queries)
    away = grey_latent(plan.embedder, plan.space) if plan.is_grey else np.zeros(found.shape[1], np.float32)
    plan.embedder.to("cpu")
    if torch.cuda.is_available():
        gc.collect()
        torch.cuda.empty_cache()
    return found, away


def _draw(
    folder: Folder, plan: Plan, latents: tuple[np.ndarray, np.ndarray], config: GenerateConfig, device: str
) -> None:
    """Draw what is missing; each picture is written as soon as it is drawn."""
    found, away = latents
    drawer = Drawer(
        plan.pipeline, plan.adapter, plan.how, precision=plan.precision, variant=config.variant, device=device
    )
    folder.begin()
    missing, batch_size = folder.missing(), AT_ONCE if isinstance(config.batch_size, str) else config.batch_size
    with counting("pictures", len(missing)) as advance:
        for query, latent in enumerate(found):
            of_query = {one.seed: one for one in missing if one.query == query}
            for seed, picture in drawn(drawer, latent, away, list(of_query), batch_size):
                folder.write(of_query[seed], picture)
                advance(1)
