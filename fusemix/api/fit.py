"""Two arrays that somebody has in memory -> a model that embeds and evaluates.

    model = fusemix.fit(images=X, texts=Y)
    model.evaluate(images=X2, texts=Y2)
    vectors = model.encode(images=X2)

Place in the flow: arrays -> a latent set, written as any other -> train -> FittedModel.
"""

import os
import shutil
import tempfile
import weakref
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from fusemix.api.arrays import Pairs, pairs_of
from fusemix.api.report import Report
from fusemix.api.run import Run
from fusemix.api.settings import tree_of
from fusemix.api.stages import eval_retrieval, train, working
from fusemix.config import TrainConfig
from fusemix.errors import ConfigError
from fusemix.models.embedder import Embedder
from fusemix.models.model import KEYWORDS, Model
from fusemix.wiring.caching.arrays import STORE, write_arrays

LEAST_PAIRS = 20
"""Of fewer, nothing is left to choose on."""
OWN = ("train", "validation", "encoders", "out", "dry_run")
"""Settings of training that `fit` fills in itself."""
KS = (1, 5, 10)
ONE_PROCESS = {"compute": {"devices": "1"}}
"""Of a caller's process there is one."""


class FittedModel(Model):
    """A model of `fit`: it encodes latents as they were given, and evaluates.

    Args:
        run: its run.
        kept: temporary folder that goes with the model.

    Attributes:
        run: as given: the history of its training.
    """

    def __init__(self, run: Run, kept: Path) -> None:
        super().__init__(Embedder(run.folder))
        self.run = run
        weakref.finalize(self, _remove, kept, os.getpid())

    def __repr__(self) -> str:
        return f"fusemix.FittedModel({', '.join(self.modalities)} in {self.dim}; {self.run})"

    def _repr_html_(self) -> str:
        return self.run._repr_html_()

    def evaluate(
        self,
        *,
        images: Any = None,
        texts: Any = None,
        audio: Any = None,
        links: Any = None,
        out: str | Path | None = None,
        **settings: Any,
    ) -> Report:
        """Measure retrieval on latents that were not trained on.

        Args:
            images, texts, audio, links: as for `fit`.
            out: folder that receives report.html and the other files; None keeps only what the returned object holds.
            **settings: of `eval_retrieval`, such as `ks=[1, 10]`.

        Returns:
            The report; it says so where latents were trained on after all.

        Raises:
            FusemixError: something that a user can fix.
        """
        pairs = pairs_of({"images": images, "texts": texts, "audio": audio}, links)
        with working(), tempfile.TemporaryDirectory(prefix="fusemix-") as place:
            latents = write_arrays(Path(place) / "latents" / "test", pairs.sides, pairs.links)
            where = Path(place) / "report" if out is None else out
            known = {"ks": [k for k in KS if k <= min(map(len, pairs.sides.values()))], "num_examples": 0, **settings}
            report = eval_retrieval(known, model=self.run.folder, latents=latents, out=where)
            return report.kept() if out is None else report


def fit(
    *,
    images: Any = None,
    texts: Any = None,
    audio: Any = None,
    links: Any = None,
    recipe: str | Path | Mapping[str, Any] = "auto",
    out: str | Path | None = None,
    **settings: Any,
) -> FittedModel:
    """Align two arrays of latents in one space.

    A part of the links is held out by itself, and the epoch that ranks it best is kept.

    Args:
        images, texts, audio: latents of two modalities, each (rows, its own width): numpy arrays or torch tensors of
            any floating point type, on any device.
        links: int array of (links, 2): which row of the one belongs to which row of the other, in the order images,
            audio, texts. A row may have many links. None: row i belongs to row i.
        recipe: `auto` takes the one that fits the data, as `fusemix.train(recipe="auto")` does, and says which; or the
            name of a recipe, the path of a yaml file, or a mapping of settings.
        out: run folder to keep; the same call again gives the model back, without training. None keeps nothing on disk
            once the model is gone.
        **settings: of training, over those of the recipe, such as `seed=1` or `**{"optim.max_epochs": 5}`.

    Returns:
        The model: `encode(images=…)`, `similarity`, `evaluate(images=…, texts=…)`, and its `run`.

    Raises:
        ConfigError: arrays, links or settings do not fit; the message says how to fix it.
        RunError: `out` holds another run.

    >>> import numpy as np
    >>> images = np.random.default_rng(0).normal(size=(64, 12))
    >>> tiny = {"embedding_dim": 8, "mixup": "none", "optim": {"batch_size": 16, "max_epochs": 1, "warmup_steps": 1}}
    >>> model = fit(images=images, texts=images[:, :6] + 1, recipe=tiny)
    no validation is given, so 10 % of the pairs are held out to choose on: holdout=0.1
    58 pairs of arrays/train; choosing among 6 and 6 held-out items
    ...
    >>> model.encode(images=images[:3]).shape
    (3, 8)
    >>> report = model.evaluate(images=images[:30], texts=images[:30, :6] + 1)
    >>> 0 <= report.metrics["image_to_text/recall_at_1"] <= 1
    True
    """
    pairs = pairs_of({"images": images, "texts": texts, "audio": audio}, links)
    _require_enough(pairs)
    if taken := [name for name in OWN if name in settings]:
        raise ConfigError(f"fit takes no {taken[0]}: it fills that in itself.")
    if arrays := [name for name, value in settings.items() if hasattr(value, "shape")]:
        raise ConfigError(f"{arrays[0]} is an array, and fit takes arrays as {', '.join(KEYWORDS)} and links alone.")
    how = dict(recipe) if isinstance(recipe, Mapping) else {"recipe": recipe}
    tree_of(TrainConfig, [how], settings, "fit")  # before anything is written
    with working(), ExitStack() as stack:
        kept = Path(tempfile.mkdtemp(prefix="fusemix-"))
        stack.callback(shutil.rmtree, kept, ignore_errors=True)
        latents = write_arrays(kept / "latents" / "train", pairs.sides, pairs.links)
        own = {"train": latents, "validation": None, "encoders": {modality: [STORE] for modality in pairs.sides}}
        where = kept / "run" if out is None else out
        model = FittedModel(train(ONE_PROCESS, how, settings, **own, out=where, dry_run=False), kept)
        stack.pop_all()  # from here on the folder goes with the model
        return model


def _require_enough(pairs: Pairs) -> None:
    if len(pairs.links) < LEAST_PAIRS:
        raise ConfigError(
            f"there are {len(pairs.links):,} links, and at least {LEAST_PAIRS} are needed: some are trained on, and "
            "others chosen on. Give more pairs."
        )


def _remove(folder: Path, process: int) -> None:
    """Remove what goes with a model; a process that was forked has it only to look at."""
    if os.getpid() == process:
        shutil.rmtree(folder, ignore_errors=True)
