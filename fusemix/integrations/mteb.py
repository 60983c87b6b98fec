"""A trained run as a model that mteb takes: `mteb.evaluate(mteb_model("runs/mine"), tasks)`.

Place in the flow: Embedder -> FusemixModel -> mteb's retrieval tasks over text, image and audio.

Items of several modalities at once (a picture with a text as one query) are refused: the run aligns items of one
modality each, and how to blend two of them is nowhere trained.

Source: the protocols in mteb 2.26, `mteb.models.models_protocols.EncoderProtocol` and `mteb.models.ModelMeta`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
from jaxtyping import Float
from mteb.models import ModelMeta
from mteb.models.abs_encoder import AbsEncoder
from mteb.types import Modalities

from fusemix.disk.files import sha256_of_file
from fusemix.errors import RunError
from fusemix.interfaces import Content, Waveform
from fusemix.models.embedder import Embedder
from fusemix.models.trained import EncoderRecipe
from fusemix.progress import counting

NO_TEXT = "."
"""Stands for a text without content. The first versions of mteb's Clotho tasks hold such: they split captions at each
full stop, and the one at the end leaves an empty text behind."""

SHORT_HASH = 12


def mteb_model(
    model: str | Path,
    *,
    checkpoint: str = "best",
    encoders: Mapping[str, EncoderRecipe] | None = None,
    device: str = "auto",
    name: str | None = None,
    trust_code: bool = False,
) -> "FusemixModel":
    """A trained model, with its encoders loaded, for `mteb.evaluate`.

    Args:
        model: folder of the run.
        checkpoint: `best` or `last`.
        encoders: as for `Embedder`; needed where the run does not know what builds its encoders.
        device: `cpu`, `cuda`, …; `auto` takes a GPU where there is one.
        name: `organisation/model`, under which mteb files the results; by default `fusemix/<name of the run folder>`.
        trust_code: run code that the run names, as for `fusemix.load`.

    Raises:
        RunError: as `Embedder`; or mteb knows none of the run's modalities.
    """
    embedder = Embedder(model, checkpoint, encoders, device, trust_code=trust_code)
    options = {"model": str(model), "checkpoint": checkpoint, "encoders": encoders, "trust_code": trust_code}
    return FusemixModel(embedder, model_meta(embedder, name or f"fusemix/{Path(model).resolve().name}", options))


def load_model(
    model_name: str,
    revision: str | None = None,
    *,
    model: str,
    checkpoint: str = "best",
    encoders: Mapping[str, EncoderRecipe] | None = None,
    device: str | None = None,
    trust_code: bool = False,
) -> "FusemixModel":
    """What `ModelMeta.load_model` calls; arguments as for `mteb_model`.

    Raises:
        RunError: as `mteb_model`; or the checkpoint has changed since its revision was noted.
    """
    how: dict[str, Any] = {"checkpoint": checkpoint, "encoders": encoders, "trust_code": trust_code}
    loaded = mteb_model(model, device=device or "auto", name=model_name, **how)
    found = revision_of(loaded.embedder.trained.file)
    if revision not in (None, found):
        raise RunError(
            f"{model}: its checkpoint {checkpoint} is revision {found} now, not {revision}. Call mteb_model again."
        )
    return loaded


def revision_of(checkpoint: Path) -> str:
    """Short SHA-256 of a checkpoint's bytes."""
    return sha256_of_file(checkpoint)[:SHORT_HASH]


def model_meta(embedder: Embedder, name: str, loader_kwargs: Mapping[str, Any]) -> ModelMeta:
    """What mteb notes of the model; what is not known stays None.

    Args:
        embedder: of the run; all its encoders are loaded.
        name: `organisation/model`.
        loader_kwargs: what `load_model` needs beside name and revision.

    Raises:
        RunError: mteb knows none of the run's modalities.
    """
    modalities = [modality for modality in embedder.modalities if modality in get_args(Modalities)]
    if not modalities:
        raise RunError(
            f"{embedder.trained.folder} was trained on {', '.join(embedder.modalities)}, and mteb's tasks are about "
            f"{', '.join(get_args(Modalities))}. Name the modalities of your data sets so."
        )
    return ModelMeta.model_validate(
        {
            "loader": load_model,
            "loader_kwargs": dict(loader_kwargs),
            "name": name,
            "revision": revision_of(embedder.trained.file),
            "modalities": modalities,
            "n_parameters": embedder.num_parameters(),
            "embed_dim": embedder.dim,
            "similarity_fn_name": "cosine",
            "framework": ["PyTorch"],
            "use_instructions": False,
            **dict.fromkeys(("release_date", "languages", "memory_usage_mb", "max_tokens", "license", "open_weights")),
            **dict.fromkeys(("public_training_code", "public_training_data", "training_datasets")),
        }
    )


class FusemixModel(AbsEncoder):
    """What mteb asks of a model; made by `mteb_model`.

    Args:
        embedder: of the run.
        meta: what mteb notes of it.
    """

    def __init__(self, embedder: Embedder, meta: ModelMeta) -> None:
        self.embedder = embedder
        self.mteb_model_meta = meta

    def encode(
        self,
        inputs: Any,
        *,
        task_metadata: Any,
        hf_split: str,
        hf_subset: str,
        prompt_type: Any = None,
        batch_size: int = 64,
        show_progress_bar: bool = True,
        **kwargs: Any,
    ) -> Float[np.ndarray, "items dim"]:
        """Embeddings of the items of a task, of unit length, in their order.

        The task's instructions are left out: the adapters were trained on latents of plain captions.

        Args:
            inputs: mteb's DataLoader; its rows are read out of its data set, by as many processes as it has workers.
            task_metadata: says which modalities queries and documents are of.
            hf_split, hf_subset: of the task, for the progress bar.
            prompt_type: queries or documents; None for tasks without this difference.
            batch_size: items in one pass of an encoder.
            show_progress_bar: show how far it is.
            **kwargs: what mteb has for other models.

        Raises:
            RunError: items are of several modalities at once, or of none that the run knows.
            EncoderError: an item cannot be embedded.
        """
        rows = inputs.dataset
        modality = self._modality(task_metadata, prompt_type, columns_of(rows))
        if hasattr(rows, "select_columns"):  # so that rows are read without their other contents
            rows = rows.select_columns([modality])
        contents = Column(rows, modality)
        settings = {"batch_size": batch_size, "num_workers": inputs.num_workers}
        if not show_progress_bar:
            return self.embedder.embed(modality, contents, **settings)
        with counting(f"{task_metadata.name}/{hf_subset}/{hf_split}: {modality}", len(contents)) as advance:
            return self.embedder.embed(modality, contents, **settings, advance=advance)

    def _modality(self, task_metadata: Any, prompt_type: Any, columns: Sequence[str]) -> str:
        here = [modality for modality in task_metadata.get_modalities(prompt_type) if modality in columns]
        known = ", ".join(self.embedder.modalities)
        if len(here) != 1:
            found = " with ".join(here) or "of no modality that the task names"
            raise RunError(
                f"{task_metadata.name}: an item of it is {found}, and {self.embedder.trained.folder} embeds items of "
                f"one modality each: {known}. Choose tasks such as t2i or a2t."
            )
        return here[0]


def columns_of(rows: Any) -> Sequence[str]:
    """Names of the columns of a data set; some tasks hand over torch's own, whose rows alone know them."""
    return rows.column_names if hasattr(rows, "column_names") else list(rows[0]) if len(rows) else []


@dataclass(frozen=True)
class Column(Sequence[Content]):
    """One column of a data set as contents that are read when asked for.

    Attributes:
        dataset: with the column.
        modality: name of the column: `text`, `image` or `audio`.
    """

    dataset: Any
    modality: str

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: Any) -> Content:
        value = self.dataset[index][self.modality]
        if self.modality == "audio":
            return waveform(value)
        return value if self.modality != "text" or value.strip() else NO_TEXT


def waveform(audio: Any) -> Waveform:
    """A sound as mteb hands it over: a dict, or torchcodec's decoder that answers to the same keys.

    Args:
        audio: `array`, of samples or of channels by samples, whose mean is taken; and `sampling_rate` in hertz.
    """
    samples = np.asarray(audio["array"], dtype=np.float32)
    return Waveform(samples if samples.ndim == 1 else samples.mean(axis=0), int(audio["sampling_rate"]))
