"""Whether latents were made by the encoders that a model was trained with.

Place in the flow: a latent set + what a checkpoint says of its encoders -> the set, opened, or a message.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fusemix.errors import RunError
from fusemix.files import differences
from fusemix.latents.sets import LatentSet, Side


def fitting_set(folder: Path, record: Mapping[str, Any]) -> LatentSet:
    """A latent set that was made by the encoders that a model was trained with.

    Raises:
        ConfigError: the model knows nothing of a modality.
        RunError: it was made by others.
    """
    latent_set = LatentSet(folder, record["config"]["encoders"])
    for side in latent_set.sides:
        require_same_encoders(str(folder), side.modality, record["encoders"][side.modality], side)
    return latent_set


def require_same_encoders(where: str, modality: str, wanted: list[dict[str, Any]], side: Side | None) -> None:
    """Refuse latents that other encoders made; other versions of packages are no reason to.

    Raises:
        RunError: they differ, field by field.
    """
    found = side.fingerprints if side else []
    lines = differences(_named(found), _named(wanted)) if found else [f"there is no {modality}"]
    lines = [line for line in lines if ".packages." not in line]
    if lines:
        text = "\n  ".join(lines)
        raise RunError(
            f"{where}: its {modality} latents were not made like those that the model is trained on:\n  {text}\n"
            "Cache the set again with the encoders of the training set."
        )


def _named(fingerprints: list[dict[str, Any]]) -> dict[str, Any]:
    return {f"encoder {number}": fingerprint for number, fingerprint in enumerate(fingerprints, start=1)}
