"""Hubs of our own beside a run, and their constants by the definition."""

import json
import shutil

import numpy as np
from safetensors import safe_open

from fusemix.fusion.checkpoints import HUBS
from fusemix.models.hubs import Hubs, write_hubs
from fusemix.models.trained import open_trained
from fusemix.retrieval.hub_correction import Strength

STRENGTHS = {
    "image_to_text": Strength(1.0, 10.0),
    "text_to_image": Strength(0.7, 20.0),
    "image_to_image": Strength(0.0, 5.0),
    "text_to_text": Strength(0.5, 10.0),
}
LEVELS = {"image_to_text": 0.1, "text_to_image": 0.2, "image_to_image": 0.3, "text_to_text": 0.4}


def with_hubs(run, out, levels=LEVELS):
    """A copy of a run with the same banks, and strengths and levels of our own."""
    shutil.copytree(run, out)
    with safe_open(out / HUBS, framework="pt") as file:
        sha256 = json.loads(file.metadata()["fusemix"])["model"]
    write_hubs(out / HUBS, Hubs(open_trained(run).hubs.banks, STRENGTHS, levels), sha256)
    return out


def naive(bank, items, strength):
    """Constants of items."""
    scores = bank.double().numpy() @ items.astype(np.float64).T
    return strength.alpha / strength.beta * np.log(np.exp(strength.beta * scores).mean(axis=0))
