"""Export, wired: which vectors become rows of clip-retrieval's layout.

Place in the flow: EmbeddingsExportConfig -> Export: the links of a latent set, with latents or a model's embeddings
for them.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int64

from fusemix.config import EmbeddingsExportConfig
from fusemix.disk.files import sha256_of_file
from fusemix.fusion.checkpoints import CHECKPOINTS, about, read_checkpoint, trained_model
from fusemix.latents.embeddings_writer import EmbeddingsWriter, metadata_table
from fusemix.latents.sets import LatentSet, Side
from fusemix.machine.environment import one_device
from fusemix.models.cached import embed
from fusemix.models.fitting import fitting_set

Vectors = Callable[[Side, Int64[np.ndarray, " rows"]], Float[np.ndarray, "rows dim"]]
"""Side, rows -> what is exported for them."""


class Export(NamedTuple):
    """What is written where.

    Attributes:
        latent_set: whose links become rows.
        vectors: of some distinct rows of a side.
        writer: of the folder.
    """

    latent_set: LatentSet
    vectors: Vectors
    writer: EmbeddingsWriter

    def write(self, index: int) -> int:
        """Write the files of one number; returns their number of rows."""
        span = self.writer.spans[index]
        links = self.latent_set.links[span.start : span.stop]
        parts = []
        for side, rows in zip(self.latent_set.sides, links.T, strict=True):
            distinct, places = np.unique(rows, return_inverse=True)  # a picture with five captions is embedded once
            parts.append(self.vectors(side, distinct)[places])
        sides = [(side.modality, side.table) for side in self.latent_set.sides]
        self.writer.write(index, parts[0], parts[1], metadata_table(sides, links))
        return len(span)


def embeddings_export(config: EmbeddingsExportConfig) -> Export:
    """The set that is exported, as latents or as the embeddings of a run.

    Raises:
        LatentStoreError, RunError: set or run are missing or do not fit each other, or `out` holds something else.
    """
    if config.model is None:
        latent_set, made_from = LatentSet(Path(config.latents), config.encoders), None
        vectors: Vectors = Side.take
    else:
        latent_set, vectors, made_from = _embeddings_of_run(config, Path(config.model))
    writer = EmbeddingsWriter(
        Path(config.out),
        modalities=(latent_set.left.modality, latent_set.right.modality),
        num_rows=len(latent_set.links),
        rows_per_file=config.rows_per_file,
        about=_about_export(latent_set, made_from),
        overwrite=config.overwrite,
    )
    return Export(latent_set, vectors, writer)


def _embeddings_of_run(config: EmbeddingsExportConfig, run: Path) -> tuple[LatentSet, Vectors, str]:
    device = one_device(config.compute.accelerator, config.compute.devices)
    path = run / CHECKPOINTS / "best.ckpt"
    checkpoint = read_checkpoint(path)
    latent_set = fitting_set(Path(config.latents), about(checkpoint))
    model = trained_model(checkpoint, config.trust_code).to(device)
    return latent_set, lambda side, rows: embed(model, side, rows, device).numpy(), sha256_of_file(path)


def _about_export(latent_set: LatentSet, checkpoint_sha256: str | None) -> dict[str, Any]:
    description = latent_set.description
    links = np.ascontiguousarray(latent_set.links, dtype="<i8")
    return {
        "format": "fusemix.embeddings",
        "version": 1,
        **{key: description[key] for key in ("dataset", "revision", "split")},
        "items_sha256": {description[which]["modality"]: description[which]["sha256"] for which in ("left", "right")},
        "links_sha256": hashlib.sha256(links.tobytes()).hexdigest(),
        "encoders": {side.modality: side.fingerprints for side in latent_set.sides},
        "checkpoint_sha256": checkpoint_sha256,
    }
