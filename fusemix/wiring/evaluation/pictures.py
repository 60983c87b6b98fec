"""Folders of generated and of real pictures, and what an encoder sees in them.

Place in the flow: two folders -> Items -> the road of caching (encoders/extract.py) -> Seen.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float64, Int64

from fusemix.config import GenerationEvalConfig, PartConfig
from fusemix.datasets.folder import files_of, items_of
from fusemix.disk.files import sha256_of_json
from fusemix.encoders import ENCODERS
from fusemix.encoders.extract import extract
from fusemix.encoders.reading import Task
from fusemix.errors import ConfigError, DatasetError
from fusemix.interfaces import Encoder, Items, Rejected
from fusemix.machine.limits import usable_cores
from fusemix.reports.drawn import GENERATED
from fusemix.wiring.evaluation.pairs import listed_files

DINOV2 = {"model": "facebook/dinov2-base"}
"""Agrees with people better than Inception: arXiv:2306.04675."""


class Folder(NamedTuple):
    """Pictures of one side.

    Attributes:
        name: the setting that names it.
        path: of the folder.
        items: its pictures; their ids are paths below it.
        excluded: what could not be listed.
    """

    name: str
    path: Path
    items: Items
    excluded: list[Rejected]

    def about(self) -> dict[str, Any]:
        """By what the pictures are known again: names and sizes."""
        sizes = [(self.path / one).stat().st_size for one in self.ids]
        return {"pictures": len(self.ids), "sha256": sha256_of_json([self.ids, sizes])}

    @property
    def ids(self) -> list[str]:
        """Of its pictures."""
        return self.items.table["id"].to_pylist()


class Seen(NamedTuple):
    """What an encoder sees in the pictures of a folder that it can take.

    Attributes:
        rows: of these pictures, among the folder's items.
        features: of each, not normalised.
        rejected: the other pictures, and why.
    """

    rows: Int64[np.ndarray, " pictures"]
    features: Float64[np.ndarray, "pictures dim"]
    rejected: tuple[Rejected, ...]


def folder_of(name: str, path: Path) -> Folder:
    """The pictures of a folder and of those below it; where `fusemix generate` has drawn there, those that it lists.

    Raises:
        ConfigError: there is no such folder, or no picture in it.
    """
    try:
        files = files_of(path)
    except DatasetError as error:
        raise ConfigError(f"{name}: {error}") from error
    found, excluded = files.paths.get("image", []), list(files.excluded)
    if (path / GENERATED).is_file() and (listed := listed_files(path / GENERATED)) is not None:
        excluded += [Rejected(one, "dataset", "it was not drawn yet") for one in sorted(set(listed) - set(found))]
        found = [one for one in found if one in set(listed)]
    if not found:
        raise ConfigError(f"{name}: there are no pictures in {path}.")
    return Folder(name, path, items_of(path, "image", found), excluded)


def encoder_of(part: PartConfig) -> Encoder:
    """The encoder that looks at both folders, still on the CPU.

    Raises:
        ConfigError: it is none of pictures.
    """
    is_default = part.name == "transformers_image" and not part.options
    encoder = ENCODERS.build(part.name, DINOV2 if is_default else part.options)
    if not isinstance(encoder, Encoder) or encoder.modality != "image":
        what = f"encodes {encoder.modality}" if isinstance(encoder, Encoder) else "is no encoder"
        raise ConfigError(f"encoder: {part.name} {what}, and pictures are judged by an encoder of pictures.")
    return encoder


def num_workers_of(config: GenerationEvalConfig) -> int:
    """Processes that read and decode."""
    return usable_cores() - 1 if isinstance(config.num_workers, str) else config.num_workers


def seen_by(
    encoder: Encoder, folder: Folder, config: GenerationEvalConfig, device: str, advance: Callable[[int], None]
) -> Seen:
    """Encode the pictures of a folder; what cannot be is set aside.

    Args:
        encoder: on `device`.
        folder: of the pictures.
        config: how many at once, by how many workers.
        device: as torch names it.
        advance: told the number of pictures just encoded.
    """
    (given,) = extract(
        folder.items,
        {"encoder": encoder},
        [Task(range(len(folder.items)), ("encoder",))],
        batch_sizes={"encoder": config.batch_size},
        num_workers=num_workers_of(config),
        device=torch.device(device),
        advance=lambda count, rejected: advance(count),
        seconds=defaultdict(float),
    )
    found = given.of["encoder"]
    finite = np.isfinite(found.latents).all(axis=1)
    rejected = {one.id: one for one in found.rejected}
    for row in found.rows[~finite].tolist():
        name = folder.ids[row]
        rejected.setdefault(name, Rejected(name, "encode", "the encoder gave values that are not finite"))
    return Seen(found.rows[finite], found.latents[finite].astype(np.float64), tuple(rejected.values()))


def require_enough(folders: Sequence[Folder], counts: Sequence[int], k: int, rejected: Sequence[Rejected] = ()) -> None:
    """Refuse sides with too few pictures for any figure, or for so many neighbours.

    Args:
        folders: of both sides.
        counts: pictures of each that can be used, as far as is known.
        k: neighbours.
        rejected: the others.

    Raises:
        ConfigError: there are too few.
    """
    first = f" The first that cannot: {rejected[0].id}: {rejected[0].reason}." if rejected else ""
    for folder, count in zip(folders, counts, strict=True):
        if count < 2:
            raise ConfigError(
                f"{folder.name}: {count} of the {len(folder.items)} pictures of {folder.path} can be used, and figures "
                f"need 2 at least.{first}"
            )
    if min(counts) <= k:
        raise ConfigError(
            f"k={k} neighbours need {k + 1} pictures on each side, and one has {min(counts)}. Set k to "
            f"{min(counts) - 1} or less.{first}"
        )
