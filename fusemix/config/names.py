"""Names of settings, those that were meant instead, and those that settings had before.

Place in the flow: a dataclass of settings -> the full names of all -> the nearest to what was typed.
"""

import difflib
from collections.abc import Iterator
from typing import Any

from fusemix.config.typed import kinds_of_fields
from fusemix.parts.kinds import MAPPINGS, inside, settings_of

NAME = "NAME"
"""Stands for a name of the user's own."""
_COMPUTE = {
    "accelerator": "`compute.accelerator` now: compute.accelerator=cpu.",
    "devices": "`compute.devices` now: compute.devices=2, or compute.devices=[0,3] for these two.",
    "num_nodes": "`compute.num_nodes` now: compute.num_nodes=2.",
}
_DEVICE = {
    "device": "`compute.accelerator` now: compute.accelerator=cpu. In place of cuda:1 it is compute.devices=[1]."
}
_RUN = {"run": "`model` now: model=FOLDER."}
RENAMED = {
    "CacheConfig": _COMPUTE,
    "TrainConfig": _COMPUTE,
    "EvalConfig": {**_COMPUTE, **_RUN},
    "ZeroShotConfig": {**_DEVICE, **_RUN},
    "EmbeddingsExportConfig": _RUN,
    "IndexConfig": _DEVICE,
    "SearchConfig": _DEVICE,
    "GenerateConfig": {**_DEVICE, **_RUN},
    "ServeConfig": _DEVICE,
    "ImportConfig": {"set": "`latents` now: latents=SET. What is imported into it is vectors=FILE, no longer latents."},
}
"""Name of the settings -> a name that one of them had -> what it is called now, and how it is written."""


def full_names(schema: Any, prefix: str = "") -> Iterator[str]:
    """All settings of a dataclass, those inside others by their full names: `optim.lr`, `also.NAME.train`."""
    for name, kind in kinds_of_fields(schema).items():
        inner = settings_of(kind)
        of_each = next(filter(None, map(settings_of, inside(kind, MAPPINGS))), None)
        if inner is None:
            yield prefix + name
        if inner is not None or of_each is not None:
            yield from full_names(inner or of_each, f"{prefix}{name}.{'' if inner else f'{NAME}.'}")


def meant(name: str, schema: Any) -> list[str]:
    """Full names of settings that somebody may have meant, best first.

    Args:
        name: as it was typed, perhaps without what stands before a dot: `lr`, `epochs`, `batch-size`.
        schema: dataclass of the settings.
    """
    typed = name.replace("-", "_").lower()
    leaves = {full: full.rpartition(".")[2] for full in full_names(schema)}
    words = set(typed.rpartition(".")[2].split("_"))
    for likely in (
        [full for full, leaf in leaves.items() if leaf == typed],
        difflib.get_close_matches(typed, list(leaves), n=1, cutoff=0.8),
        [full for full, leaf in leaves.items() if words <= set(leaf.split("_"))],
        difflib.get_close_matches(typed, list(leaves), n=1),
        [full for full, leaf in leaves.items() if leaf in difflib.get_close_matches(typed, leaves.values(), n=1)],
    ):
        if likely:
            return likely[:3]
    return []


def renamed(name: str, schema: Any) -> str | None:
    """What a setting that somebody typed by its former name is called now; None where no setting had that name."""
    old = name.lstrip("-").replace("-", "_")
    now = RENAMED.get(schema.__name__, {}).get(old)
    return f"`{old}` is called {now}" if now else None


def hint(name: str, schema: Any) -> str:
    """A sentence that names what may have been meant, or nothing; see `meant`."""
    found = meant(name, schema)
    return f" Did you mean {' or '.join(map(repr, found))}?" if found else ""
