"""An exported model as a model of sentence-transformers: `SentenceTransformer(folder, trust_remote_code=True)`.

Place in the flow: modules.json of an export -> FusemixModule -> SentenceTransformer.encode(texts, pictures or sounds).

One module stands for all: it hands contents to the Embedder, so that vectors are those of `fusemix.load`, whatever the
encoders are and however many. It encodes; it cannot be trained further by sentence-transformers.

Source: sentence-transformers 6.2, `sentence_transformers.base.modules.InputModule`.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sentence_transformers.base.modality import infer_batch_modality
from sentence_transformers.base.modules import InputModule

from fusemix.encoders.given import raw_of
from fusemix.interfaces import Waveform
from fusemix.models.embedder import Embedder

KNOWN = ("text", "image", "audio")
"""What sentence-transformers has a name for."""


class FusemixModule(InputModule):
    """What SentenceTransformer asks of its only module; made by `load`.

    Args:
        embedder: adapters and encoders.
    """

    def __init__(self, embedder: Embedder) -> None:
        super().__init__()
        self._embedder = embedder
        self.adapters = embedder.trained.model  # a torch module, so that `to` reaches it

    @classmethod
    def load(  # pyright: ignore[reportIncompatibleMethodOverride]: hub settings that are of no use here stay in kwargs
        cls, model_name_or_path: str, subfolder: str = "", revision: str | None = None, **kwargs: Any
    ) -> "FusemixModule":
        """Open an export by path or by its name on the hub.

        Args:
            model_name_or_path: as given to SentenceTransformer.
            subfolder: of the module; always the model's own folder.
            revision: on the hub.
            **kwargs: what other modules take.

        Raises:
            RunError: as `Embedder`.
        """
        is_here = Path(model_name_or_path).exists()
        return cls(Embedder(model_name_or_path, device="cpu", revision=None if is_here else revision))

    def __reduce__(self) -> tuple[Any, ...]:
        """Processes of a pool open the folder themselves."""
        return type(self).load, (str(self._embedder.trained.folder),)

    @property
    def modalities(self) -> list[Any]:
        """What can be encoded."""
        return [modality for modality in KNOWN if modality in self._embedder.modalities]

    def get_embedding_dimension(self) -> int:
        """Width of the embeddings."""
        return self._embedder.dim

    def preprocess(self, inputs: Sequence[Any], prompt: str | None = None, **kwargs: Any) -> dict[str, Any]:
        """The items as they are, with their modality; a prompt stands before texts."""
        modality = str(infer_batch_modality(inputs, supported_modalities=self.modalities))
        if modality == "text" and prompt:
            inputs = [prompt + text for text in inputs]
        return {"modality": modality, "items": [raw_of(modality, content(item)) for item in inputs]}

    def forward(self, features: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        """Embed them where the adapters are."""
        device = str(next(self.adapters.parameters()).device)
        self._embedder.to(device)
        items = features["items"]
        found = self._embedder.embed(features["modality"], items, batch_size=len(items))
        return {**features, "sentence_embedding": torch.from_numpy(found).to(device)}

    def save(self, output_path: str, *args: Any, safe_serialization: bool = True, **kwargs: Any) -> None:
        """Copy the export.

        Args:
            output_path: folder that receives it.
            *args, **kwargs: what other modules take.
            safe_serialization: it always is.
        """
        shutil.copytree(self._embedder.trained.folder, output_path, dirs_exist_ok=True)


def content(item: Any) -> Any:
    """One item as `fusemix` takes it: sounds in dicts become waveforms, `{"image": …}` what it holds."""
    if isinstance(item, dict) and len(item) == 1:
        (item,) = item.values()
    if isinstance(item, dict) and "array" in item:
        samples = np.asarray(item["array"], dtype=np.float32)
        return Waveform(samples if samples.ndim == 1 else samples.mean(axis=0), int(item["sampling_rate"]))
    return item
