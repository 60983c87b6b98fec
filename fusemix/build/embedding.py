"""A trained run with its encoders: contents in, embeddings out.

Place in the flow: run folder + encoders -> Embedder: texts, pictures, sounds -> embeddings in the shared space.
Not here: embeddings of latents that are cached already (evaluate.py).

Contents take the same road as in caching (encoders/extract.py), and their latents are rounded as a store would
have rounded them, so that an item gets the embedding that it has in evaluation.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Float
from torch import Tensor, nn

from fusemix.build.train import SOURCES
from fusemix.encoders import ENCODERS
from fusemix.encoders.decoding import decoding_fingerprint
from fusemix.encoders.extract import extract
from fusemix.encoders.reading import Task
from fusemix.environment import resolve_device
from fusemix.errors import EncoderError, FusemixError, RunError
from fusemix.files import differences, read_json
from fusemix.fusion.runs import CHECKPOINTS, about, read_checkpoint, trained_model
from fusemix.interfaces import Content, Encoder, Items, Rejected

ROWS_AT_ONCE = 8192
"""Latents that pass the adapter together."""

Source = Mapping[str, Any]
"""`name` and `options` of an encoder, as under `encoders` in the config of caching."""


class Embedder:
    """Embeds texts, pictures and sounds with the adapters of a run and the encoders that they were trained on.

    Encoders are loaded when their modality is first asked for.

    Args:
        run: folder of the run.
        checkpoint: `best` or `last`.
        encoders: modality -> what builds its encoders, in the order of training; needed where the run does not know
            (latents that were imported, or cached by an older version), or where models have moved.
        device: `cpu`, `cuda`, `cuda:1`, …; `auto` takes a GPU where there is one.

    Attributes:
        checkpoint: file that the adapters are from.
        device: as torch names it.

    Raises:
        RunError: the run has no such checkpoint, or knows nothing of a modality in `encoders`.
        ConfigError: the device is not there.
    """

    def __init__(
        self,
        run: str | Path,
        checkpoint: str = "best",
        encoders: Mapping[str, Sequence[Source]] | None = None,
        device: str = "auto",
    ) -> None:
        self.run, self.checkpoint = Path(run), Path(run) / CHECKPOINTS / f"{checkpoint}.ckpt"
        content = read_checkpoint(self.checkpoint)
        self._record = about(content)
        self.device = resolve_device(device)
        self._model = trained_model(content).to(self.device)
        self._given = dict(encoders or {})
        self._loaded: dict[str, dict[str, Encoder]] = {}
        for modality in self._given:
            self._require_known(modality)

    @property
    def modalities(self) -> tuple[str, ...]:
        """What can be embedded."""
        return tuple(self._record["dims"])

    @property
    def dim(self) -> int:
        """Width of the embeddings."""
        modality, widths = next(iter(self._record["dims"].items()))
        return self._embedded(modality, np.zeros((1, sum(widths)), np.float32)).shape[1]

    def encoders(self, modality: str) -> Mapping[str, Encoder]:
        """The encoders of a modality, by the names of their latent stores where these are known, in order of training.

        Raises:
            RunError: the run knows nothing of the modality; an encoder is not known, cannot be loaded, or is not the
                one that the run was trained with.
        """
        self._require_known(modality)
        if modality not in self._loaded:
            self._loaded[modality] = self._load(modality)
        return self._loaded[modality]

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
        encoders = self.encoders(modality)
        if len(contents) == 0:
            return np.zeros((0, self.dim), np.float32)
        parts = []
        latents = encoded(modality, contents, encoders, batch_size, num_workers, torch.device(self.device), advance)
        for (name, values), wanted in zip(latents.items(), self._record["encoders"][modality], strict=True):
            parts.append(rounded(values, wanted["dtype"], modality, name))
        return self._embedded(modality, np.concatenate(parts, axis=1))

    def _embedded(
        self, modality: str, latents: Float[np.ndarray, "items latent_dim"]
    ) -> Float[np.ndarray, "items dim"]:
        parts: list[Tensor] = []
        with torch.inference_mode():
            for at in range(0, len(latents), ROWS_AT_ONCE):
                rows = torch.from_numpy(latents[at : at + ROWS_AT_ONCE]).to(self.device)
                parts.append(self._model.embed(modality, rows).cpu())
        return torch.cat(parts).numpy()

    def _require_known(self, modality: str) -> None:
        if modality not in self.modalities:
            raise RunError(
                f"{self.run} knows nothing of {modality!r}. It was trained on: {', '.join(self.modalities)}."
            )

    def _load(self, modality: str) -> dict[str, Encoder]:
        wanted, sources = self._record["encoders"][modality], self._sources(modality)
        problems = [] if len(sources) == len(wanted) else [f"{len(wanted)} are needed, and {len(sources)} given"]
        loaded: dict[str, Encoder] = {}
        for number, ((name, source), recorded) in enumerate(zip(sources, wanted, strict=False), start=1):
            try:
                encoder = _built(source, recorded)
            except FusemixError as error:
                problems.append(f"encoder {number}: {error}")
            else:
                problems += problems_of(number, encoder, recorded, modality)
                loaded[name if name not in loaded else f"{name} {number}"] = encoder
        if problems:
            lines = "\n  ".join(problems)
            by_hand = ", ".join("{'name': 'transformers_…', 'options': {'model': …}}" for _ in wanted)
            raise RunError(
                f"{self.run}: {modality} needs the encoders that the run was trained with:\n  {lines}\n"
                "Give them by hand, as under encoders in the config of caching and in the order of training: "
                f"encoders={{{modality!r}: [{by_hand}]}}."
            )
        return {name: encoder.to(self.device) for name, encoder in loaded.items()}

    def _sources(self, modality: str) -> list[tuple[str, Source | None]]:
        """Name and source of each encoder: as given, else as the run folder says."""
        if modality in self._given:
            return [(f"{modality} {number}", source) for number, source in enumerate(self._given[modality], start=1)]
        path = self.run / SOURCES
        if path.is_file():
            return [(entry["store"], entry["source"]) for entry in read_json(path)[modality]]
        return [(f"{modality} {number}", None) for number in range(1, len(self._record["encoders"][modality]) + 1)]


def _built(source: Source | None, recorded: Mapping[str, Any]) -> Encoder:
    if source is None:
        says = ", ".join(f"{k} {v}" for k, v in recorded["encoder"].items() if isinstance(v, str) and len(v) < 60)
        raise RunError(f"nothing says what builds it. Its latents say: {says or 'nothing'}")
    return ENCODERS.build(source["name"], source.get("options", {}))


def problems_of(number: int, encoder: Encoder, recorded: Mapping[str, Any], modality: str) -> list[str]:
    """Where an encoder differs from the one trained with, one line a field; versions of packages do not count.

    Args:
        number: place of the encoder among those of its modality, from 1.
        encoder: to be used.
        recorded: fingerprint of the latents that the run was trained on.
        modality: whose latents they are.
    """
    found = {
        "encoder": encoder.fingerprint,
        "decoding": decoding_fingerprint(modality),
        "dim": encoder.dim,
        "dtype": recorded["dtype"],
    }
    now = {key: found.get(key) for key in recorded}  # imported latents say nothing of decoding
    lines = differences(dict(recorded), now, f"encoder {number}")
    return [line for line in lines if ".packages." not in line]


def encoded(
    modality: str,
    contents: Sequence[Content],
    encoders: Mapping[str, Encoder],
    batch_size: int,
    num_workers: int,
    device: torch.device,
    advance: Callable[[int], None],
) -> dict[str, Float[np.ndarray, "items latent_dim"]]:
    """Latents of each encoder, in float32, by the code that caches.

    Raises:
        EncoderError: an item cannot be encoded.
    """

    def count(num_items: int, rejected: Sequence[Rejected]) -> None:
        if rejected:
            item = min(rejected, key=lambda item: int(item.id))
            raise EncoderError(f"{modality} item {item.id} cannot be embedded ({item.stage}): {item.reason}")
        advance(num_items)

    items = Items(modality, pa.table({"id": [str(index) for index in range(len(contents))]}), contents.__getitem__)
    (found,) = extract(
        items,
        encoders,
        [Task(range(len(contents)), tuple(encoders))],
        batch_sizes=dict.fromkeys(encoders, batch_size),
        num_workers=num_workers,
        device=device,
        advance=count,
        seconds=defaultdict(float),
    )
    return {name: found[name].latents for name in encoders}


def rounded(
    latents: Float[np.ndarray, "items latent_dim"], dtype: str, modality: str, name: str
) -> Float[np.ndarray, "items latent_dim"]:
    """Latents as a store of a dtype holds them.

    Raises:
        EncoderError: a latent is not finite in that dtype, so that caching would have set its item aside.
    """
    with np.errstate(over="ignore"):
        stored = latents.astype(dtype)
    bad = np.flatnonzero(~np.isfinite(stored).all(axis=1))
    if len(bad):
        raise EncoderError(
            f"{modality} item {bad[0]} cannot be embedded (encode): {name} gave values that are not finite in {dtype}."
        )
    return stored
