"""Hubs of our own beside a run, and scores by the definition."""

import json
import shutil

import numpy as np
from safetensors import safe_open

from fusemix.fusion.checkpoints import HUBS
from fusemix.models.hubs import Hubs, write_hubs
from fusemix.models.queries import LIKE
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
    write_hubs(out / HUBS, Hubs(open_trained(run).hubs.banks, STRENGTHS, levels, {}), sha256)
    return out


def naive(bank, items, strength):
    """Constants of items."""
    scores = bank.double().numpy() @ items.astype(np.float64).T
    return strength.alpha / strength.beta * np.log(np.exp(strength.beta * scores).mean(axis=0))


def by_definition(searcher, queries, hubs, levels):
    """Id of each item -> its score: cosines less what is taken, by weights, over the length of the sum."""
    vectors, everywhere = searcher.embed(queries), list(range(searcher.index.num_items))
    items, wanted = searcher.index.items(everywhere), {}
    kinds, factors = [_modality(searcher, query) for query in queries], np.array([query.weight for query in queries])
    for item, vector in zip(items, searcher.index.vectors(everywhere), strict=True):
        score = float(factors @ (vectors @ vector))
        for kind, factor in zip(kinds, factors, strict=True):
            way = f"{kind}_to_{item['modality']}"
            score -= factor * levels.get(way, 0.0)
            if way in hubs.strengths:
                score -= factor * naive(hubs.banks[kind], vector[None], hubs.strengths[way])[0]
        wanted[item["id"]] = score / float(np.linalg.norm(factors @ vectors))
    return wanted


def _modality(searcher, query):
    if query.kind != LIKE:
        return query.kind
    return searcher.index.items([searcher.index.find(query.content)])[0]["modality"]
