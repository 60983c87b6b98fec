"""A trained model with its encoders: contents in, embeddings out.

Place in the flow: Trained + encoders -> Embedder: texts, pictures, sounds -> embeddings in the shared space.
Not here: embeddings of latents that are cached already (evaluate.py).

Contents take the same road as in caching (encoders/extract.py), and their latents are rounded as a store would
have rounded them, so that an item gets the embedding that it has in evaluation.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from fusemix.encoders.extract import Extracted, Given, extract
from fusemix.encoders.reading import Task
from fusemix.errors import EncoderError
from fusemix.interfaces import Content, Encoder, Items, Rejected
from fusemix.latents.storable import rounded
from fusemix.machine.environment import resolve_device
from fusemix.models.matching import How, by_hand, matching_encoders, with_given
from fusemix.models.recipes import EncoderRecipe
from fusemix.models.trained import open_trained

ROWS_AT_ONCE = 8192
"""Latents that pass the adapter together."""


class Embedded(NamedTuple):
    """What a model gave for some items; a rejected item's row is NaN.

    `thumbnails` are of the items, where they were asked for and there are any; see encoders/thumbnails.py.
    """

    embeddings: Float[np.ndarray, "items dim"]
    rejected: tuple[Rejected, ...]
    thumbnails: Sequence[bytes | None] = ()


class Embedder:
    """Embeds texts, pictures and sounds with the adapters of a model and the encoders that they were trained on.

    Encoders are loaded when their modality is first asked for. Several threads may ask at once: those that ask for
    the same modality wait for one another, since an encoder keeps the whole device busy.

    Args:
        model: folder of a run or of an exported model, or organisation/model on the hub.
        checkpoint: of a run, `best` or `last`.
        encoders: what builds encoders, by the names of the latents that they made; needed where the run does not know
            (latents that were imported, or cached by an older version), or where models have moved. See
            `matching.with_given`.
        device: `cpu`, `cuda`, `cuda:1`, …; `auto` takes a GPU where there is one.
        revision: commit, tag or branch on the hub.
        trust_code: run code that the model names, where its parts are not fusemix's own; what is given in `encoders`
            runs anyway.
        noted: modality -> what builds its encoders, in the order of training, by data that may come from anybody: its
            code runs only where it is trusted.
        how: words for a message that says how encoders are given.

    Attributes:
        trained: the model without its encoders.
        device: as torch names it.

    Raises:
        UntrustedCodeError: it names or carries code that is not fusemix's own, and that is not trusted.
        RunError: there is no such model or checkpoint, or it has no latents of a name in `encoders`.
        ConfigError: the device is not there.
    """

    def __init__(
        self,
        model: str | Path,
        checkpoint: str = "best",
        encoders: Mapping[str, EncoderRecipe] | None = None,
        device: str = "auto",
        revision: str | None = None,
        *,
        trust_code: bool = False,
        noted: Mapping[str, Sequence[EncoderRecipe]] | None = None,
        how: How = by_hand,
    ) -> None:
        found = open_trained(model, checkpoint, revision, trust_code=trust_code).with_recipes(noted or {})
        self.trained = with_given(found, encoders or {})
        self._how = how
        self.device = resolve_device(device)
        self._model = self.trained.model.to(self.device)
        self._loaded: dict[str, dict[str, Encoder]] = {}
        self._locks = {modality: Lock() for modality in self.trained.modalities}

    @property
    def modalities(self) -> tuple[str, ...]:
        """What can be embedded."""
        return self.trained.modalities

    @property
    def dim(self) -> int:
        """Width of the embeddings."""
        return self.trained.model.width

    def encoders(self, modality: str) -> Mapping[str, Encoder]:
        """The encoders of a modality, by the names of their latent stores where these are known, in order of training.

        Raises:
            RunError: the run knows nothing of the modality; an encoder is not known, cannot be loaded, or is not the
                one that the run was trained with.
        """
        self.trained.require_known(modality)
        with self._locks[modality]:
            return self._encoders(modality)

    def _encoders(self, modality: str) -> dict[str, Encoder]:
        if modality not in self._loaded:
            found = matching_encoders(self.trained, modality, self._how)
            self._loaded[modality] = {name: encoder.to(self.device) for name, encoder in found.items()}
        return self._loaded[modality]

    def to(self, device: str) -> "Embedder":
        """Move the adapters and what encoders are loaded; the others follow when they are.

        Args:
            device: that is there, as torch names it.
        """
        if device != self.device:
            self.device = device
            self._model.to(device)
            for encoders in self._loaded.values():
                encoders.update({name: encoder.to(device) for name, encoder in encoders.items()})
        return self

    def is_known(self, modality: str) -> bool:
        """Whether the model embeds a modality, and something says what builds its encoders."""
        known = self.trained.recipes.get(modality, ())
        return bool(known) and all(named.recipe is not None for named in known)

    def num_parameters(self) -> int:
        """Parameters of the adapters and of all encoders, as far as these hold torch modules as attributes.

        Raises:
            RunError: as `encoders`.
        """
        frozen: dict[str, int] = {}
        for modality in self.modalities:
            for name, encoder in self.encoders(modality).items():
                modules = [value for value in vars(encoder).values() if isinstance(value, nn.Module)]
                weights = encoder.fingerprint.get("weights_sha256", f"{modality}/{name}")  # two towers of one model
                frozen[weights] = sum(p.numel() for module in modules for p in module.parameters())
        return sum(self._model.num_parameters().values()) + sum(frozen.values())

    def embed(
        self,
        modality: str,
        contents: Sequence[Content],
        *,
        batch_size: int = 64,
        num_workers: int = 0,
        advance: Callable[[int], None] = lambda count: None,
    ) -> Float[np.ndarray, "items dim"]:
        """Embeddings of unit length, in float32, in the order of the contents.

        Args:
            modality: of all contents.
            contents: texts (`str`), PIL images or `Waveform`s; encoded files (`bytes`) of pictures and sounds are
                decoded. They are read one after another, so that a sequence which loads them when asked needs little
                memory.
            batch_size: items in one pass of an encoder; halved where memory does not suffice.
            num_workers: processes that read and prepare ahead; 0 does it in this one.
            advance: called with the number of items just encoded.

        Raises:
            RunError: as `encoders`.
            EncoderError: an item cannot be embedded; the message says its index and why.
        """

        def count(num_items: int, rejected: Sequence[Rejected]) -> None:
            _refuse(modality, rejected)
            advance(num_items)

        self.trained.require_known(modality)
        if len(contents) == 0:
            return np.zeros((0, self.dim), np.float32)
        numbers = pa.table({"id": [str(index) for index in range(len(contents))]})
        items = Items(modality, numbers, contents.__getitem__)
        how: dict[str, Any] = {"batch_size": batch_size, "num_workers": num_workers, "advance": count}
        ((_, found),) = self.embed_items(items, [range(len(contents))], **how)
        _refuse(modality, found.rejected)
        return found.embeddings

    def embed_items(
        self,
        items: Items,
        parts: Sequence[range],
        *,
        batch_size: int,
        num_workers: int,
        advance: Callable[[int, Sequence[Rejected]], None],
        part_sec: float = math.inf,
        thumbnails: bool = False,
    ) -> Iterator[tuple[Int64[np.ndarray, " some"], Embedded]]:
        """Embeddings of some items, part by part; what cannot be embedded is set aside, with its reason.

        Other threads wait for their turn with this modality until all parts were asked for.

        Args:
            items: of one modality.
            parts: rows, none empty.
            batch_size, num_workers: as for `embed`.
            advance: called with the number of items just encoded, and what was set aside among them.
            part_sec: what was embedded of a part is given after so many seconds; not of texts, which are given whole.
            thumbnails: whether to make them, from what is decoded.

        Yields:
            Rows, and what they gave, in float32.

        Raises:
            RunError: as `encoders`.
        """
        modality = items.modality
        with self._locks[modality]:
            encoders = self._encoders(modality)
            tasks = [Task(part, tuple(encoders), thumbnails=thumbnails) for part in parts]
            seconds = math.inf if modality == "text" else part_sec
            for given in self._extracted(items, tasks, encoders, batch_size, num_workers, advance, seconds):
                rows = next(iter(given.of.values())).rows
                if len(rows):
                    seen = [given.thumbnails.get(int(row)) for row in rows] if thumbnails else ()
                    yield rows, self._embedded(items, rows, given.of)._replace(thumbnails=seen)

    def _extracted(
        self,
        items: Items,
        tasks: Sequence[Task],
        encoders: Mapping[str, Encoder],
        batch_size: int,
        num_workers: int = 0,
        advance: Callable[[int, Sequence[Rejected]], None] = lambda count, rejected: None,
        part_sec: float = math.inf,
    ) -> Iterator[Given]:
        return extract(
            items,
            encoders,
            tasks,
            batch_sizes=dict.fromkeys(encoders, batch_size),
            num_workers=num_workers,
            device=torch.device(self.device),
            advance=advance,
            seconds=defaultdict(float),
            part_sec=part_sec,
        )

    def _embedded(self, items: Items, rows: Int64[np.ndarray, " some"], found: Mapping[str, Extracted]) -> Embedded:
        """Latents as stores hold them, through the adapter."""
        fingerprints, columns = self.trained.record["encoders"][items.modality], []
        rejected = {item.id: item for extracted in found.values() for item in extracted.rejected}
        for (name, extracted), fingerprint in zip(found.items(), fingerprints, strict=True):
            columns.append(rounded(extracted.latents, fingerprint["dtype"]))
            for row in np.flatnonzero(np.isnan(columns[-1]).any(axis=1)).tolist():
                item = items.table["id"][int(rows[row])].as_py()
                reason = f"{name} gave values that are not finite in {fingerprint['dtype']}"
                rejected.setdefault(item, Rejected(item, "encode", reason))
        return Embedded(self.adapted(items.modality, np.concatenate(columns, axis=1)), tuple(rejected.values()))

    def latents(self, items: Items) -> Float[np.ndarray, "items latent_dim"]:
        """What the encoders give for a few items, in float32 and side by side; an item that is rejected is NaN.

        Raises:
            RunError: as `encoders`.
        """
        with self._locks[items.modality]:
            encoders = self._encoders(items.modality)
            (given,) = self._extracted(items, [Task(range(len(items)), tuple(encoders))], encoders, len(items))
        return np.concatenate([extracted.latents for extracted in given.of.values()], axis=1)

    def adapted(self, modality: str, latents: Float[np.ndarray, "items latent_dim"]) -> Float[np.ndarray, "items dim"]:
        """Embeddings of latents that are there already, in float32; those of several encoders side by side."""
        parts: list[Tensor] = []
        with torch.inference_mode():
            for at in range(0, len(latents), ROWS_AT_ONCE):
                rows = torch.from_numpy(latents[at : at + ROWS_AT_ONCE]).to(self.device)
                parts.append(self._model.embed(modality, rows).cpu())
        return torch.cat(parts).numpy()


def _refuse(modality: str, rejected: Sequence[Rejected]) -> None:
    if rejected:
        item = min(rejected, key=lambda item: int(item.id))
        raise EncoderError(f"{modality} item {item.id} cannot be embedded ({item.stage}): {item.reason}")
