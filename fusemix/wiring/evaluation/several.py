"""Several sets that are measured by one command: each by itself, and what tables judge between them.

Place in the flow: EvalConfig -> one EvalConfig and set for each report below its folder -> eval_retrieval.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from fusemix.config import EvalConfig
from fusemix.errors import ConfigError
from fusemix.fusion.checkpoints import CHECKPOINTS, about, read_checkpoint
from fusemix.latents.judgements import judged, of_one_value, read_judgements
from fusemix.latents.sets import LatentSet
from fusemix.models.fitting import fitting_set


class Part(NamedTuple):
    """One report of several.

    Attributes:
        name: of its folder below that of all: its modalities, and the name of its set where others have the same.
        config: of this report alone.
        latent_set: that is measured.
    """

    name: str
    config: EvalConfig
    latent_set: LatentSet


def parts_of(config: EvalConfig) -> list[Part]:
    """What is measured, in order: the first set, the others, and what is judged between them.

    Raises:
        ConfigError: a table of judgements cannot be used, or two reports would have one name.
        RunError: other encoders made a set.
        LatentStoreError: a set is missing or damaged.
    """
    record = about(read_checkpoint(Path(config.model) / CHECKPOINTS / f"{config.checkpoint}.ckpt"))
    sets = {name: fitting_set(Path(folder), record) for name, folder in _folders(config).items()}
    across = [judged(read_judgements(Path(path)), sets) for path in config.judgements]
    if config.same_column:
        across += of_one_value(config.same_column, sets)
    parts: dict[str, Part] = {}
    for name, latent_set in [*sets.items(), *(("", one) for one in across)]:
        pair = "_".join(side.modality for side in latent_set.sides)
        taken = pair if pair not in parts else f"{pair}_{name}"
        if taken in parts:
            raise ConfigError(
                f"{pair.replace('_', ' and ')} items are judged twice; put the rows of both tables into one."
            )
        own = {"protocol": config.protocol if not parts else "auto", "out": str(Path(config.out) / taken)}
        latents = str(latent_set.folder)
        parts[taken] = Part(
            taken, replace(config, latents=latents, more={}, judgements=[], same_column=None, **own), latent_set
        )
    return list(parts.values())


def _folders(config: EvalConfig) -> Mapping[str, str]:
    """Name -> folder of each set; the first one goes by its own."""
    return {str(config.latents): config.latents, **config.more}
