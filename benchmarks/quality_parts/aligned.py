"""What specialising a pair of encoders that share a space already is worth: new pairs of the same kind, and of another.

    python benchmarks/quality_parts/aligned.py --train SET --test SET --other SET SET SET [--json FILE]

No weights of a CLIP are needed: the pair is made here, by `recommended` on the first pictures of a set; what it embeds
are the latents of the table. Same kind: other pictures of that set. Another kind: a set of the same encoders, such as
the built-in glyphs, given as its train, validation and test sets. Left items are pictures, right ones texts.
"""

import argparse
import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fusemix.api.fit import fit
from fusemix.api.stages import eval_retrieval, train
from fusemix.latents.sets import LatentSet
from fusemix.models.given_latents import GivenLatents
from fusemix.wiring.caching.arrays import STORE, write_arrays

SIZES = (100, 1_000, 5_000)
"""Pairs that the pair of encoders is specialised with; fewer where a set has no more."""
PAIR = 2_500
"""Pictures that the pair is made from."""
CHOSEN_ON = 1_000
"""The last pictures of the first set, which the best epoch and all else is chosen on."""
KS = (1, 5, 10)
ENCODERS = {"image": [STORE], "text": [STORE]}
ONCE = {"batch_size": 32, "max_epochs": 1}
RECIPES: dict[str, list[Any]] = {
    "zero-shot": [
        {"preprocess": ["l2"], "adapter": "identity", "embedding_dim": "auto", "mixup": "none", "optim": ONCE}
    ],
    "aligned": ["aligned"],
    "closed form (method=csa)": [{"method": "csa", "preprocess": ["l2"], "adapter": "linear"}],
    "few_pairs": ["few_pairs"],
    "recommended": ["recommended"],
}


class Pairs(NamedTuple):
    """Latents of pictures and of texts, and what belongs together, in the order of pictures."""

    pictures: np.ndarray
    texts: np.ndarray
    links: np.ndarray

    def some(self, pictures: slice, most: int | None = None) -> "Pairs":
        """Those of some pictures, or not more than `most`: first captions of all pictures, then second ones, …"""
        start, stop, _ = pictures.indices(len(self.pictures))
        links = self.links[(self.links[:, 0] >= start) & (self.links[:, 0] < stop)]
        links = links[np.lexsort((links[:, 1], links[:, 0]))]
        place = np.arange(len(links)) - np.searchsorted(links[:, 0], links[:, 0])
        links = links[np.lexsort((links[:, 0], place))][:most]
        rows = [np.unique(side) for side in links.T]
        found = [np.searchsorted(of, side) for of, side in zip(rows, links.T, strict=True)]
        return Pairs(self.pictures[rows[0]], self.texts[rows[1]], np.column_stack(found))

    def mixed(self) -> "Pairs":
        """The same pairs, of one picture and one text each, in another order."""
        links = self.links[np.random.default_rng(0).permutation(len(self.links))]
        return Pairs(self.pictures[links[:, 0]], self.texts[links[:, 1]], np.column_stack([np.arange(len(links))] * 2))

    def write(self, folder: Path) -> Path:
        """As a latent set."""
        sides = {"image": GivenLatents("images", self.pictures), "text": GivenLatents("texts", self.texts)}
        return write_arrays(folder, sides, self.links)


class Kind(NamedTuple):
    """New pairs to specialise with, and what is chosen and measured on."""

    name: str
    train: Pairs
    validation: Pairs
    test: Pairs


def read(folder: Path, encoders: dict[str, list[str]]) -> Pairs:
    """A latent set, in memory."""
    latent_set = LatentSet(folder, encoders)
    pictures, texts = (side.take(np.arange(len(side.valid))) for side in latent_set.sides)
    return Pairs(pictures, texts, np.asarray(latent_set.links))


def rows(
    first: Path,
    test: Path,
    other: Sequence[Path],
    *,
    encoders: dict[str, list[str]],
    place: Path,
    sizes: Sequence[int] = SIZES,
    recipes: Sequence[str] = tuple(RECIPES)[1:],
    seeds: Sequence[int] = (0,),
) -> Iterator[dict[str, Any]]:
    """Rows of the table, as they are measured.

    Args:
        first, test: latent sets of the first kind, to train on and to measure; the pair is made of the first pictures.
        other: latent sets of the other kind: train, validation and test.
        encoders: modality -> names of latents in all sets.
        place: folder for the runs.
        sizes: numbers of pairs.
        recipes: of RECIPES, beside zero-shot.
        seeds: of the runs.
    """
    whole = read(first, encoders)
    embed = _embedder(whole.some(slice(0, PAIR)), place / "pair")
    held = len(whole.pictures) - CHOSEN_ON
    new = whole.some(slice(PAIR, held))
    others = [read(folder, encoders) for folder in other]
    kinds = [
        Kind("same", embed(new), embed(whole.some(slice(held, None))), embed(read(test, encoders))),
        Kind("other", embed(others[0].mixed()), *map(embed, others[1:])),
    ]
    for kind in kinds:
        for size in sizes:
            yield from _of_size(kind, size, place / f"{kind.name}{size}", recipes, seeds)


def _embedder(pairs: Pairs, out: Path) -> Any:
    model = fit(
        images=pairs.pictures, texts=pairs.texts, links=pairs.links, recipe="recommended", out=out, links_per_item=1
    )

    def embed(of: Pairs) -> Pairs:
        return Pairs(np.asarray(model.encode(images=of.pictures)), np.asarray(model.encode(texts=of.texts)), of.links)

    return embed


def _of_size(
    kind: Kind, size: int, place: Path, recipes: Sequence[str], seeds: Sequence[int]
) -> Iterator[dict[str, Any]]:
    pairs = kind.train.some(slice(None), most=size)
    sets = {"train": pairs.write(place / "train"), "validation": kind.validation.write(place / "validation")}
    test = kind.test.write(place / "measured")
    for recipe in ("zero-shot", *recipes):
        for seed in seeds:
            out = place / f"{recipe.split()[0]}{seed}"
            run = train(*RECIPES[recipe], **sets, encoders=ENCODERS, out=out, seed=seed)
            found = _measured(run.folder, sets["validation"], test, out.with_suffix(".reports"))
            yield {"kind": kind.name, "pairs": len(pairs.links), "recipe": recipe, "seed": seed, **found}


def _measured(run: Path, validation: Path, test: Path, place: Path) -> dict[str, float]:
    """Sums of the six recalls, in percent."""
    found = {}
    for name, latents in (("validation", validation), ("test", test)):
        report = eval_retrieval(
            model=run, latents=latents, out=place / f"report-{name}", ks=list(KS), num_examples=0, overwrite=True
        )
        ways = ("image_to_text", "text_to_image")
        found[name] = round(100 * sum(report.metrics[f"{way}/recall_at_{k}"] for way in ways for k in KS), 1)
    return found


def main() -> None:
    """Measure, and print a line a row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--other", type=Path, nargs=3, required=True, metavar=("TRAIN", "VALIDATION", "TEST"))
    parser.add_argument("--image", default="mobilenet", help="name of the latents of pictures")
    parser.add_argument("--text", default="minilm", help="name of the latents of texts")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--recipes", nargs="+", default=list(RECIPES)[1:], choices=list(RECIPES))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--place", type=Path, help="folder that keeps the runs")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    found = []
    with tempfile.TemporaryDirectory() as temporary:
        how = {"sizes": given.sizes, "recipes": given.recipes, "seeds": given.seeds}
        where = given.place or Path(temporary)
        names = {"image": [given.image], "text": [given.text]}
        for row in rows(given.train, given.test, given.other, encoders=names, place=where, **how):
            found.append(row)
            print(json.dumps(row), flush=True)
            if given.json:
                given.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
