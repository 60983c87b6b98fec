"""A run with cuts of our own, and an index that it searches."""

import json
from pathlib import Path
from typing import Any

from hub_samples import with_hubs
from index_samples import make
from safetensors import safe_open

import fusemix
from fusemix.fusion.checkpoints import HUBS
from fusemix.models.hubs import Cut, write_hubs
from fusemix.models.trained import open_trained

WORDS = "a red bar"
ABOVE = 5


def with_cuts(tiny: Any, folder: Path) -> Path:
    """A folder with `index`, of pictures and captions; `run`, whose cut of pictures has the first ABOVE that WORDS find
    above it; and `plain`, the same without cuts.
    """
    plain = tiny._replace(run=with_hubs(tiny.run, folder / "plain"))
    for modality in ("image", "text"):
        make(plain, folder / "index", tiny.latents / "pictures" / "all", "modality=" + modality)
    scores = [hit.score for hit in fusemix.SearchIndex(folder / "index", device="cpu").search(WORDS, k=ABOVE + 1)]
    judged(
        tiny.run, folder / "run", {"text_to_image": Cut(0.25, sum(scores[-2:]) / 2), "image_to_text": Cut(-1.0, 2.0)}
    )
    return folder


def judged(run: Path, out: Path, cuts: dict[str, Cut]) -> None:
    """A copy of a run with other cuts."""
    with_hubs(run, out)
    with safe_open(out / HUBS, framework="pt") as file:
        sha256 = json.loads((file.metadata() or {})["fusemix"])["model"]
    hubs = open_trained(out).hubs
    assert hubs
    write_hubs(out / HUBS, hubs._replace(cuts=cuts), sha256)
