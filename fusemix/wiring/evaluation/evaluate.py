"""Stage 3, wired: the set to measure on, its embeddings, and what a report says about both.

Place in the flow: EvalConfig + a trained run -> LatentSet, embeddings.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from lightning.fabric import Fabric

from fusemix.config import EvalConfig
from fusemix.errors import ConfigError
from fusemix.fusion.checkpoints import CHECKPOINTS, about, read_checkpoint
from fusemix.latents.galleries import Gallery, each_caption, gallery_of
from fusemix.latents.sets import LatentSet
from fusemix.machine.parallel import added_up
from fusemix.models.cached import about_run
from fusemix.models.fitting import fitting_set
from fusemix.retrieval.evaluation import Fold, folds_of
from fusemix.retrieval.protocols import Protocol, protocol_for, require_counts
from fusemix.retrieval.ranks import DEPTH
from fusemix.retrieval.tiles import ALONE, Share


@dataclass(frozen=True)
class Evaluation:
    """What is going to be measured.

    Attributes:
        config: the settings.
        checkpoint: of the run.
        latent_set: the set, opened with the run's encoders.
        gallery: its items that take part; in a benchmark, every caption as often as it was written.
        protocol: that is followed.
        folds: parts that are measured one by one.
        merged: the gallery with every caption once, where the other one has some more often.
    """

    config: EvalConfig
    checkpoint: dict[str, Any]
    latent_set: LatentSet
    gallery: Gallery
    protocol: Protocol
    folds: list[Fold]
    merged: Gallery | None

    @property
    def record(self) -> dict[str, Any]:
        """What the checkpoint says about its run."""
        return about(self.checkpoint)

    @cached_property
    def about(self) -> dict[str, Any]:
        """What the report says of protocol, data and model."""
        return {
            "protocol": {key: getattr(self.protocol, key) for key in ("name", "about", "folds")},
            "data": about_set(self.latent_set),
            "model": about_run(self.config.model, self.config.checkpoint, self.checkpoint),
        }

    @property
    def modalities(self) -> tuple[str, str]:
        """Of the left and of the right."""
        return self.latent_set.left.modality, self.latent_set.right.modality

    @property
    def depth(self) -> int:
        """Gallery items that are listed for each query."""
        return min(max(*self.config.ks, DEPTH), _smallest(self.folds))


def evaluation_of(config: EvalConfig, latent_set: LatentSet | None = None) -> Evaluation:
    """Open what is going to be measured, and refuse what could not be or would mislead.

    Args:
        config: the settings.
        latent_set: to measure on, opened with the run's encoders; by default the one that is set.

    Raises:
        ConfigError: the protocol is unknown, the model knows nothing of a modality, or ks look deeper than a gallery.
        RunError: there is no such run, other encoders made the set, or it has not the protocol's counts.
        LatentStoreError: the set is missing or damaged, or no query has a link.
    """
    checkpoint = read_checkpoint(Path(config.model) / CHECKPOINTS / f"{config.checkpoint}.ckpt")
    latent_set = latent_set or fitting_set(Path(config.latents), about(checkpoint))
    gallery = gallery_of(latent_set)
    described = latent_set.description
    protocol = protocol_for(config.protocol, described["dataset"], described["split"], described["revision"])
    if not config.allow_other_counts:
        require_counts(protocol, config.latents, len(gallery.left_rows), gallery.num_captions)
    if config.indexes and protocol.folds > 1:
        raise ConfigError(
            f"indexes are measured on whole galleries, and {protocol.name} has {protocol.folds} folds. Leave them "
            "out, or measure by a protocol without folds, such as coco_5k."
        )
    most = _smallest(folds_in(gallery, protocol))
    if max(config.ks) > most:
        raise ConfigError(
            f"ks asks for the first {max(config.ks)}, but the smaller side of {config.latents} has {most} "
            f"items{' in a fold' if protocol.folds > 1 else ''}. Set ks to numbers up to {most}."
        )
    counted = gallery if protocol.captions is None else each_caption(gallery)
    merged = gallery if len(counted.right_rows) > len(gallery.right_rows) else None
    return Evaluation(config, checkpoint, latent_set, counted, protocol, folds_in(counted, protocol), merged)


def folds_in(gallery: Gallery, protocol: Protocol) -> list[Fold]:
    """The parts of a gallery that a protocol measures one by one."""
    return folds_of((len(gallery.left_rows), len(gallery.right_rows)), gallery.links, protocol.folds)


def _smallest(folds: Sequence[Fold]) -> int:
    return min(len(side) for fold in folds for side in (fold.left, fold.right))


def share_of(fabric: Fabric) -> Share:
    """This process's part of the work."""
    if fabric.world_size == 1:
        return ALONE
    return Share(
        fabric.global_rank, fabric.world_size, lambda counts: added_up(torch.from_numpy(counts.copy())).numpy()
    )


def require_same_width(what: str, latent_set: LatentSet) -> None:
    """Refuse to compare latents as they are where they cannot share a space.

    Raises:
        ConfigError: their widths differ.
    """
    left, right = latent_set.sides
    if left.dims != right.dims:
        raise ConfigError(
            f"{what}: latents are compared as they are, but the widths of {latent_set.folder} differ: {left.modality} "
            f"{left.dims}, {right.modality} {right.dims}. Name encoders that share a space, such as the two of one "
            "CLIP, or have a map to one space: train=FOLDER of a baseline, model=FOLDER of a trained run."
        )


def require_other_items(what: str, given: LatentSet, measured: LatentSet) -> None:
    """Refuse to learn from the very items that are measured, wherever they lie.

    Raises:
        ConfigError: both sets hold the same items.
    """
    if all(given.description[side]["sha256"] == measured.description[side]["sha256"] for side in ("left", "right")):
        raise ConfigError(f"{what} is the set that is measured; give a training set, as in latents/…/train.")


def about_set(latent_set: LatentSet) -> dict[str, Any]:
    """What a report says about the data."""
    described = latent_set.description
    return {
        "name": latent_set.name,
        **{key: described[key] for key in ("dataset", "split", "revision")},
        "num_unusable": latent_set.num_unusable,
        "encoders": {side.modality: [store.manifest.encoder for store in side.stores] for side in latent_set.sides},
        "fingerprints": {side.modality: side.fingerprints for side in latent_set.sides},
        "sha256": {
            **{side: described[side]["sha256"] for side in ("left", "right")},
            "links": described["links_sha256"],
        },
    }
