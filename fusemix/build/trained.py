"""A trained model, opened: what it is, its adapters, and what builds its encoders.

Place in the flow: run folder -> Trained -> Embedder.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from fusemix.build.train import SOURCES
from fusemix.errors import RunError
from fusemix.files import read_json
from fusemix.fusion.model import FusionModel
from fusemix.fusion.runs import CHECKPOINTS, about, read_checkpoint, trained_model

Source = Mapping[str, Any]
"""`name` and `options` of an encoder, as under `encoders` in the config of caching."""


class NamedSource(NamedTuple):
    """What builds an encoder.

    Attributes:
        name: of its latent store where it is known, else of its modality with a number.
        source: None where nothing says it.
    """

    name: str
    source: Source | None


class Trained(NamedTuple):
    """A trained model without its encoders.

    Attributes:
        folder: that it was opened from, for messages.
        file: that the weights of its adapters were read from.
        record: what its checkpoint says about its run: `dims`, `config`, `encoders` (fingerprints of the latents), …
        model: its adapters, in evaluation mode, on the CPU.
        sources: modality -> what builds its encoders, in the order of training.
    """

    folder: Path
    file: Path
    record: dict[str, Any]
    model: FusionModel
    sources: dict[str, list[NamedSource]]

    @property
    def modalities(self) -> tuple[str, ...]:
        """What it embeds."""
        return tuple(self.record["dims"])

    def require_known(self, modality: str) -> None:
        """Refuse a modality that it was not trained on.

        Raises:
            RunError: it was not.
        """
        if modality not in self.modalities:
            raise RunError(
                f"{self.folder} knows nothing of {modality!r}. It was trained on: {', '.join(self.modalities)}."
            )


def open_trained(folder: str | Path, checkpoint: str = "best") -> Trained:
    """Open a run folder.

    Args:
        folder: of the run.
        checkpoint: `best` or `last`.

    Raises:
        RunError: the run has no such checkpoint.
    """
    return _run(Path(folder), checkpoint)


def _run(folder: Path, checkpoint: str) -> Trained:
    file = folder / CHECKPOINTS / f"{checkpoint}.ckpt"
    content = read_checkpoint(file)
    record = about(content)
    return Trained(folder, file, record, trained_model(content), _sources(folder, record))


def _sources(folder: Path, record: Mapping[str, Any]) -> dict[str, list[NamedSource]]:
    """As the run folder says; runs of before, and on latents that were imported, know nothing of it."""
    path = folder / SOURCES
    noted = read_json(path) if path.is_file() else {}
    return {
        modality: [NamedSource(entry["store"], entry["source"]) for entry in noted[modality]]
        if modality in noted
        else [NamedSource(f"{modality} {number}", None) for number in range(1, len(fingerprints) + 1)]
        for modality, fingerprints in record["encoders"].items()
    }
