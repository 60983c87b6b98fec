"""What a run knows of its hubs: a bank of training items of each modality, and how strongly directions are corrected.

Place in the flow: the end of training -> hubs.safetensors in the run folder, and in an export -> constants of gallery
items in evaluation, in an index, in `similarity`.

The file is written last, and names the model that its embeddings are of.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeGuard

import numpy as np
import torch
from jaxtyping import Float, Float32
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from fusemix.disk.files import write_atomic
from fusemix.errors import RunError
from fusemix.retrieval.hub_correction import Strength, constants
from fusemix.search.description import MOST_LEVEL

FORMAT, VERSION = "fusemix.hubs", 1
MOST_BETA = 50.0
"""Of masses, see `masses.Masses`."""


class Cut(NamedTuple):
    """Scores below which results are more likely wrong than right; see retrieval/cuts.py.

    Attributes:
        plain: of cosines.
        corrected: of scores from which constants were taken.
    """

    plain: float
    corrected: float


class Hubs(NamedTuple):
    """Banks and strengths.

    Attributes:
        banks: modality -> embeddings of training items, in half precision.
        strengths: direction, such as `text_to_image` -> its strength; alpha 0 where the correction does not help.
        levels: direction, those within a modality among them -> what is taken from scores besides, so that the best
            items of every modality are found alike by the queries of the bank.
        cuts: direction -> its cut, as far as validation tells one.
    """

    banks: dict[str, Float[Tensor, "items width"]]
    strengths: dict[str, Strength]
    levels: dict[str, float]
    cuts: dict[str, Cut]

    @property
    def corrected(self) -> list[str]:
        """Directions in which the correction helps."""
        return [direction for direction, strength in self.strengths.items() if strength.alpha > 0]

    def of(self, query: str, gallery: str) -> Strength | None:
        """The strength of a direction; None where nothing is corrected."""
        found = self.strengths.get(f"{query}_to_{gallery}")
        return found if found and found.alpha > 0 else None

    def constants(
        self, query: str, gallery: str, embeddings: Float32[Tensor, "items width"]
    ) -> Float32[np.ndarray, " items"]:
        """What is taken from the score of gallery items when a modality asks; zeros where nothing is corrected.

        Args:
            query: modality that asks.
            gallery: modality of the items.
            embeddings: of the items, full width.
        """
        strength = self.of(query, gallery)
        if strength is None:
            return np.zeros(len(embeddings), dtype=np.float32)
        return constants(self.banks[query].to(embeddings), embeddings, strength)

    def columns(
        self, gallery: str, embeddings: Float32[Tensor, "items width"], queries: Sequence[str]
    ) -> Float32[np.ndarray, "items queries"]:
        """What an index takes from the scores of its items, for queries of each modality: constants and levels.

        Args:
            gallery: modality of the items.
            embeddings: of the items, full width.
            queries: modalities.
        """
        made = [
            self.constants(query, gallery, embeddings) + np.float32(self.levels.get(f"{query}_to_{gallery}", 0.0))
            for query in queries
        ]
        return np.stack(made, axis=1)


def write_hubs(path: Path, hubs: Hubs, model_sha256: str) -> None:
    """Write them whole.

    Args:
        path: of the file.
        hubs: what it holds.
        model_sha256: of the model that the banks are embeddings of.
    """
    about = {"format": FORMAT, "version": VERSION, "model": model_sha256}
    strengths = {direction: strength._asdict() for direction, strength in hubs.strengths.items()}
    cuts = {direction: cut._asdict() for direction, cut in hubs.cuts.items()}
    metadata = {"fusemix": json.dumps({**about, "strengths": strengths, "levels": hubs.levels, "cuts": cuts})}
    with write_atomic(path) as file:
        file.write(save({name: bank.half().cpu().contiguous() for name, bank in hubs.banks.items()}, metadata))


def read_hubs(path: Path, model_sha256: str, width: int) -> Hubs | None:
    """What a run or an export knows of its hubs; None where it knows nothing.

    Args:
        path: of the file.
        model_sha256: of the model that it is used with.
        width: of that model's embeddings.

    Raises:
        RunError: it is damaged, of another version, or belongs to another model.
    """
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads((file.metadata() or {}).get("fusemix", "null"))
            banks = {name: file.get_tensor(name) for name in list(file.keys())}
    except (SafetensorError, OSError, ValueError) as error:
        raise _unusable(path, "is damaged") from error
    if not isinstance(about, dict) or (about.get("format"), about.get("version")) != (FORMAT, VERSION):
        raise _unusable(path, "is of another version, or none of fusemix's")
    if about.get("model") != model_sha256:
        raise _unusable(path, "is a bank of another model than the one beside it")
    strengths = _strengths(about.get("strengths"), banks)
    levels, cuts = about.get("levels"), _cuts(about.get("cuts", {}))
    are_banks = all(_is_bank(bank, width) for bank in banks.values())
    if strengths is None or cuts is None or not _are_levels(levels) or not are_banks:
        raise _unusable(path, "is damaged")
    return Hubs(banks, strengths, levels, cuts)


def _strengths(found: Any, banks: Mapping[str, Tensor]) -> dict[str, Strength] | None:
    """Strengths by direction; None where there is something else, or one whose bank is not there."""
    try:
        strengths = {name: Strength(float(one["alpha"]), float(one["beta"])) for name, one in found.items()}
    except (AttributeError, KeyError, TypeError, ValueError):
        return None
    is_sound = all(
        0 <= one.alpha < np.inf and 0 < one.beta <= MOST_BETA and (one.alpha == 0 or name.partition("_to_")[0] in banks)
        for name, one in strengths.items()
    )
    return strengths if is_sound else None


def _cuts(found: Any) -> dict[str, Cut] | None:
    """Cuts by direction, none where an earlier version wrote the file; None where there is something else."""
    try:
        cuts = {name: Cut(float(one["plain"]), float(one["corrected"])) for name, one in found.items()}
    except (AttributeError, KeyError, TypeError, ValueError):
        return None
    return cuts if all(abs(score) <= MOST_LEVEL for cut in cuts.values() for score in cut) else None


def _are_levels(found: Any) -> TypeGuard[dict[str, float]]:
    return isinstance(found, dict) and all(isinstance(one, float) and abs(one) <= MOST_LEVEL for one in found.values())


def _is_bank(bank: Tensor, width: int) -> bool:
    is_embeddings = bank.dtype == torch.float16 and bank.ndim == 2 and len(bank) > 0 and bank.shape[1] == width
    return is_embeddings and bool((bank.float().norm(dim=1) <= 1.01).all())


def _unusable(path: Path, how: str) -> RunError:
    return RunError(
        f"{path} {how}. Delete it: everything works without, with scores as they are; for a run, the same "
        "`fusemix train …` makes it again."
    )
