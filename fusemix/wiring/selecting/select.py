"""Choose pairs of a latent set.

Place in the flow: SelectConfig -> Task -> methods.py -> Selection, which commands/select.py writes.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from fusemix.config import SelectConfig
from fusemix.disk.files import sha256_of_file
from fusemix.errors import ConfigError
from fusemix.latents.links import LinkTable
from fusemix.latents.sets import LatentSet
from fusemix.latents.subsets import require_other_folder, subset_description
from fusemix.models.learned import of_shards
from fusemix.models.trained import open_trained
from fusemix.wiring.selecting.methods import METHODS, MOST_PICKS

MANY = 1_000_000
"""Pairs from which `auto` takes density."""


@dataclass(frozen=True)
class Task:
    """What is to be chosen.

    Attributes:
        config: settings.
        chosen_from: the set.
        asked: what decides on the choice, as plain data.
    """

    config: SelectConfig
    chosen_from: LatentSet
    asked: dict[str, Any]


class Selection(NamedTuple):
    """What was chosen.

    Attributes:
        table: links.
        description: content of the subset's `set.json`.
    """

    table: LinkTable
    description: dict[str, Any]


def task_of(config: SelectConfig) -> Task:
    """Look at what is chosen from.

    Raises:
        ConfigError: the set has fewer pairs, or is where the subset is to lie.
        LatentStoreError: it is missing or damaged.
    """
    latent_set = LatentSet(Path(config.latents), config.encoders or None)
    require_other_folder(Path(config.out), latent_set)
    num_links = len(latent_set.links)
    if config.size > num_links:
        raise ConfigError(
            f"size is {config.size:,}, but {config.latents} has {num_links:,} pairs with latents. Give a smaller one."
        )
    return Task(config, latent_set, asked_for(config, latent_set))


def select(task: Task) -> Selection:
    """Choose.

    Raises:
        ConfigError: the latents cannot be compared so.
    """
    links, times = task.chosen_from.link_table
    choice = METHODS[task.asked["method"]](task.chosen_from, task.config)
    table = LinkTable(links[choice.places], None if times is None else times[choice.places])
    selection = {"asked": task.asked, **choice.found}
    return Selection(table, subset_description(task.chosen_from, table, selection, Path(task.config.out)))


def asked_for(config: SelectConfig, latent_set: LatentSet) -> dict[str, Any]:
    """What decides on the choice, as plain data: settings, and what they are applied to."""
    about: dict[str, Any] = {
        "method": method_of(config.method, len(latent_set.links), config.size),
        "size": config.size,
        "seed": config.seed,
        "links_sha256": latent_set.description["links_sha256"],
    }
    of_method = {
        "kdpp": ("modality", "parts"),
        "density": ("modality", "clusters"),
        "facility": ("modality", "neighbours"),
    }.get(about["method"], ())
    about |= {key: getattr(config, key) for key in of_method if getattr(config, key) is not None}
    if config.model is not None:
        trained = open_trained(config.model, trust_code=config.trust_code)
        return about | {"model": config.model, "model_sha256": sha256_of_file(trained.file)}
    if about["method"] == "uniform":
        return about
    encoders = {side.modality: [store.folder.name for store in side.stores] for side in latent_set.sides}
    return about | {"encoders": encoders, "latents": {side.modality: of_shards(side) for side in latent_set.sides}}


def method_of(method: str, num_links: int, size: int) -> str:
    """The method that a setting asks for; `auto` goes by the numbers of pairs to choose from, and to choose."""
    if method != "auto":
        return method
    return "density" if num_links >= MANY or size > MOST_PICKS else "kdpp"
