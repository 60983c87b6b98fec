"""A trained model, opened: what it is, its adapters, and what builds its encoders.

Place in the flow: run folder, exported folder, or a name on the hub -> Trained -> Embedder.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from fusemix.disk.files import read_json
from fusemix.encoders.loading import weights_sha256
from fusemix.errors import RunError
from fusemix.fusion.checkpoints import CHECKPOINTS, HUBS, about, read_checkpoint, trained_model
from fusemix.fusion.model import FusionModel
from fusemix.models.folder import CONFIG, is_export, read_export
from fusemix.models.hubs import Hubs, read_hubs
from fusemix.models.recipes import ENCODERS_FILE, EncoderRecipe, NamedRecipe
from fusemix.remote.paths import Remote, located

__all__ = ["EncoderRecipe", "NamedRecipe", "Trained", "open_trained"]


class Trained(NamedTuple):
    """A trained model without its encoders.

    Attributes:
        folder: that it was opened from, for messages.
        file: that the weights of its adapters were read from.
        record: what its checkpoint says about its run: `dims`, `config`, `encoders` (fingerprints of the latents), …
        model: its adapters, in evaluation mode, on the CPU.
        recipes: modality -> what builds its encoders, in the order of training.
        trust_code: whether code that it names may run.
        hubs: what it knows of its hubs; None where it knows nothing, as of the last epoch of a run.
    """

    folder: Path
    file: Path
    record: dict[str, Any]
    model: FusionModel
    recipes: dict[str, list[NamedRecipe]]
    trust_code: bool = False
    hubs: Hubs | None = None

    @property
    def modalities(self) -> tuple[str, ...]:
        """What it embeds."""
        return tuple(self.record["dims"])

    def with_recipes(self, noted: Mapping[str, Sequence[EncoderRecipe]]) -> "Trained":
        """The same, whose encoders of some modalities are built by what somebody has noted.

        Raises:
            RunError: it knows nothing of a modality, or has another number of encoders.
        """
        recipes = dict(self.recipes)
        for modality, parts in noted.items():
            self.require_known(modality)
            if len(parts) != len(recipes[modality]):
                trained_with = len(recipes[modality])
                raise RunError(
                    f"{len(parts)} encoders of {modality} are noted, and {self.folder} was trained with {trained_with}."
                )
            recipes[modality] = [NamedRecipe(old.name, new) for old, new in zip(recipes[modality], parts, strict=True)]
        return self._replace(recipes=recipes)

    def require_known(self, modality: str) -> None:
        """Refuse a modality that it was not trained on.

        Raises:
            RunError: it was not.
        """
        if modality not in self.modalities:
            raise RunError(
                f"{self.folder} knows nothing of {modality!r}. It was trained on: {', '.join(self.modalities)}."
            )


def open_trained(
    model: str | Path, checkpoint: str = "best", revision: str | None = None, *, trust_code: bool = False
) -> Trained:
    """Open a run folder, an exported folder, or a model on the hub.

    Args:
        model: folder of a run or of an export, URL of an export, or organisation/model on the hub.
        checkpoint: of a run, `best` or `last`; an export holds one.
        revision: commit, tag or branch on the hub.
        trust_code: run code that it names, where its adapters or encoders are not fusemix's own.

    Raises:
        UntrustedCodeError: its adapters are not fusemix's own, or it carries code, and that is not trusted.
        RunError: it is none of them, is damaged, is not available from the hub, or has no such checkpoint.
    """
    folder = located(model)
    if isinstance(folder, Remote):
        folder = _from_url(folder, revision)
    elif not folder.exists():
        folder = _from_hub(str(model), revision)
    elif revision is not None:
        raise RunError(f"revision={revision} is for models on the hub, and {folder} is a folder. Leave it out.")
    with torch.random.fork_rng(devices=[]):  # weights are drawn before those that were trained take their place
        if is_export(folder):
            exported = read_export(folder, trust_code)
            return _with_hubs(Trained(folder, *exported, trust_code))
        if (folder / CHECKPOINTS).is_dir():
            trained = _run(folder, checkpoint, trust_code)
            return _with_hubs(trained) if checkpoint == "best" else trained
    if (folder / CONFIG).is_file():
        read_export(folder, trust_code)  # says what is wrong with it
    raise RunError(
        f"{folder} is neither a run nor an exported model: a run has {CHECKPOINTS}/, and an export has a {CONFIG}."
    )


def _with_hubs(trained: Trained) -> Trained:
    sha256 = weights_sha256(trained.model)
    return trained._replace(hubs=read_hubs(trained.folder / HUBS, sha256, trained.model.width))


def _from_url(model: Remote, revision: str | None) -> Path:
    from fusemix.models.behind_url import fetched_model

    if revision is not None:
        raise RunError(f"revision={revision} is for models on the hub, and {model} is a URL. Leave it out.")
    return fetched_model(model)


def _from_hub(model: str, revision: str | None) -> Path:
    from fusemix.models.hub import HUB_NAME, fetched

    if not HUB_NAME.fullmatch(model):
        raise RunError(
            f"there is no folder {model}. Give the folder of a run (python train.py CONFIG) or of an exported model, "
            "or organisation/model on the hub."
        )
    return fetched(model, revision)


def _run(folder: Path, checkpoint: str, trust_code: bool) -> Trained:
    file = folder / CHECKPOINTS / f"{checkpoint}.ckpt"
    content = read_checkpoint(file)
    record = about(content)
    model = trained_model(content, trust_code)
    return Trained(folder, file, record, model, _recipes(folder, record), trust_code)


def _recipes(folder: Path, record: Mapping[str, Any]) -> dict[str, list[NamedRecipe]]:
    """As the run folder says; runs of before, and on latents that were imported, know nothing of it."""
    path = folder / ENCODERS_FILE
    noted = read_json(path) if path.is_file() else {}
    if not isinstance(noted, dict):
        raise RunError(
            f"{path} is damaged: it names no encoders. Delete it; what needs encoders then says how to name them."
        )
    return {
        modality: [NamedRecipe(entry["store"], entry["source"]) for entry in noted[modality]]
        if modality in noted
        else [NamedRecipe(name, None) for name in record["config"]["encoders"][modality]]
        for modality in record["encoders"]
    }
