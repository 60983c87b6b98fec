"""A trained model for everybody: `fusemix.load`, `encode`, `similarity`.

Place in the flow: run folder, exported folder or a name on the hub -> Model: pictures, texts, sounds -> unit vectors
-> cosines.

    model = fusemix.load("runs/flickr30k")
    pictures = model.encode(images=["beach.jpg", "street.jpg"])
    words = model.encode(texts="a dog leaping into water")
    model.similarity(words, pictures)          # (1, 2)
"""

from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor

from fusemix.encoders.given import Given, listed
from fusemix.errors import ConfigError
from fusemix.models.embedder import Embedder
from fusemix.models.given_latents import GivenLatents, embedded, is_latents
from fusemix.models.recipes import EncoderRecipe
from fusemix.models.width import cut, require_width
from fusemix.progress import counting

KEYWORDS = {"images": "image", "audio": "audio", "texts": "text"}
"""Keyword -> modality; of two, the first is the left side of a latent set."""


def load(
    model: str | Path,
    *,
    checkpoint: str = "best",
    encoders: Mapping[str, EncoderRecipe] | None = None,
    device: str = "auto",
    revision: str | None = None,
    trust_code: bool = False,
) -> "Model":
    """Load a trained model. Its encoders are loaded when they are first needed.

    Args:
        model: folder of a run or of an exported model, URL of an exported one (s3://bucket/model, which is fetched
            into the user's cache once), or organisation/model on the hub.
        checkpoint: of a run: `best` on validation, or `last`.
        encoders: what builds encoders, as in the config of caching: name of their latents -> `name` and `options`;
            needed where the model does not know, or where encoders have moved.
        device: `cpu`, `cuda`, `cuda:1`, `mps`; `auto` takes a GPU where there is one.
        revision: commit, tag or branch on the hub; by default the newest of the main branch.
        trust_code: run code that the model names, where its adapters or encoders are not fusemix's own. What you give
            in `encoders` runs anyway.

    Raises:
        UntrustedCodeError: it names or carries such code, and `trust_code` is false.
        RunError: there is no such model, or it is damaged.
        ConfigError: the device is not there.

    >>> load("nowhere/at/all")
    Traceback (most recent call last):
    fusemix.errors.RunError: there is no folder nowhere/at/all. ...
    """
    return Model(Embedder(model, checkpoint, encoders, device, revision, trust_code=trust_code))


class Model:
    """Encodes pictures, texts and sounds into one space; made by `load`. In the examples, `model` is one.

    Several threads may encode at once; those of the same modality take turns.

    Args:
        embedder: adapters and encoders.

    Attributes:
        embedder: as given.
    """

    def __init__(self, embedder: Embedder) -> None:
        self.embedder = embedder

    def __repr__(self) -> str:
        return f"fusemix.Model({str(self.embedder.trained.folder)!r}: {', '.join(self.modalities)} in {self.dim})"

    @property
    def modalities(self) -> tuple[str, ...]:
        """What can be encoded: `image`, `text`, `audio`, or a user's own."""
        return self.embedder.modalities

    @property
    def dim(self) -> int:
        """Width of the embeddings."""
        return self.embedder.dim

    @property
    def device(self) -> str:
        """Where encoders and adapters compute, as torch names it."""
        return self.embedder.device

    def encode(
        self,
        *,
        images: Any = None,
        texts: Any = None,
        audio: Any = None,
        sample_rate: int | None = None,
        batch_size: int = 64,
        num_workers: int = 0,
        progress: bool = True,
        dim: int | None = None,
        as_torch: bool = False,
        **others: Any,
    ) -> Float32[np.ndarray, "*items dim"] | Float32[Tensor, "*items dim"]:
        """Embeddings of items of one modality.

        They are read, decoded, encoded and adapted as in caching and training, so an item gets the vector that it has
        in evaluation. A list is read item by item, so that it may be long.

        A model that was trained on latents of which nothing says what made them (`fusemix.fit`, `fusemix import`) takes
        latents in place of items: an array or a tensor of (rows, latent width), of any floating point type and device.

        Args:
            images: a picture or a list of them: paths, encoded files as `bytes`, PIL images, or arrays of height ×
                width × channels (uint8 from 0 to 255, or floating point from 0 to 1).
            texts: a `str` or a list of them.
            audio: a sound or a list of them: paths, encoded files as `bytes`, `fusemix.Waveform`s, pairs of samples and
                rate, or arrays of mono samples with `sample_rate`.
            sample_rate: hertz of sounds that are given as arrays.
            batch_size: items in one pass of an encoder; halved where memory does not suffice.
            num_workers: processes that read and decode ahead; 0 does it in this one.
            progress: show a bar when there is more than one batch.
            dim: keep so many numbers of each embedding, the first ones, at unit length again; None keeps all. They say
                most, since embeddings are turned onto their principal axes when a run ends.
            as_torch: give a tensor in place of a numpy array.
            **others: items of a modality with another name, such as `video=[…]`.

        Returns:
            Unit vectors in float32, on the CPU: (items, dim) for a list, (dim,) for one item.

        Raises:
            ConfigError: none or several modalities were given; or embeddings have not `dim` numbers, or are not turned.
            RunError: the model knows nothing of the modality, or its encoders cannot be loaded.
            EncoderError: an item cannot be encoded; the message says its index and why.

        >>> model.encode(texts=["a red bar", "one blue circle"]).shape
        (2, 16)
        >>> model.encode(texts="a red bar", dim=4).shape
        (4,)
        >>> model.encode(texts="a red bar", as_torch=True).shape
        torch.Size([16])
        """
        given = {"images": images, "texts": texts, "audio": audio, **others}
        here = [keyword for keyword, value in given.items() if value is not None]
        if len(here) != 1:
            raise ConfigError(f"encode takes items of one modality at a time, and got {' and '.join(here) or 'none'}.")
        modality = KEYWORDS.get(here[0], here[0])
        self.embedder.trained.require_known(modality)
        if dim is not None:
            require_width(dim, self.embedder.trained.model, self.embedder.trained.file)
        found = self._of_latents(modality, here[0], given[here[0]])
        if found is None:
            found = self._of_items(modality, given[here[0]], sample_rate, batch_size, num_workers, progress)
        if dim is not None:
            found = cut(found.reshape(-1, self.dim), dim).reshape(*found.shape[:-1], dim)
        return torch.from_numpy(found) if as_torch else found

    def _of_latents(self, modality: str, name: str, given: Any) -> Float32[np.ndarray, "*items dim"] | None:
        """Embeddings of latents, where items of the modality cannot be encoded; None where something else is given."""
        if self.embedder.is_known(modality) or not is_latents(given):
            return None
        is_one = given.ndim == 1
        found = embedded(self.embedder, modality, GivenLatents(name, given[None] if is_one else given))
        return found[0] if is_one else found

    def _of_items(
        self, modality: str, given: Any, sample_rate: int | None, batch_size: int, num_workers: int, progress: bool
    ) -> Float32[np.ndarray, "*items dim"]:
        items, is_one = listed(modality, given)
        shown = progress and len(items) > batch_size
        with counting(f"{modality}: encoding", len(items)) if shown else nullcontext(lambda count: None) as advance:
            found = self.embedder.embed(
                modality,
                Given(items, modality, sample_rate),
                batch_size=batch_size,
                num_workers=num_workers,
                advance=advance,
            )
        return found[0] if is_one else found

    def similarity(
        self,
        a: Float[np.ndarray, "*left _dim"] | Float[Tensor, "*left _dim"],
        b: Float[np.ndarray, "*right _dim"] | Float[Tensor, "*right _dim"],
        *,
        queries: str | None = None,
        gallery: str | None = None,
        hub_correction: bool = True,
    ) -> Float32[np.ndarray, "left right"]:
        """Cosines between embeddings, from -1 to 1; or, where modalities are named, scores to rank `b` by.

        With both modalities named, a constant of each item of `b` is taken from its cosines, where that helped on the
        validation set of the run: some items are near to everything. The order within a row is what it is for.

        Args:
            a: as `encode` returns them; one vector counts as a list of one.
            b: the same.
            queries: modality of `a`, such as `text`, whose items ask.
            gallery: modality of `b`, such as `image`, whose items are found.
            hub_correction: false leaves cosines, whatever is named.

        Returns:
            Row i, column j: item i of `a` with item j of `b`.

        Raises:
            ValueError: their widths differ.
            ConfigError: one modality is named and the other not.
            RunError: the model knows nothing of a modality.

        >>> words = model.encode(texts=["a red bar", "one blue circle"])
        >>> model.similarity(words, words).diagonal().round(3).tolist()
        [1.0, 1.0]
        """
        left, right = (np.atleast_2d(np.asarray(side, dtype=np.float32)) for side in (a, b))
        if left.shape[1] != right.shape[1]:
            raise ValueError(f"embeddings are {left.shape[1]} and {right.shape[1]} wide; both must be of one model")
        taken = self._constants(right, queries, gallery) if hub_correction else np.float32(0)
        return left @ right.T - taken

    def _constants(
        self, items: Float32[np.ndarray, "items _dim"], queries: str | None, gallery: str | None
    ) -> Float32[np.ndarray, " items"] | np.float32:
        """What is taken from the cosines of gallery items; nothing where modalities are not named."""
        if queries is None and gallery is None:
            return np.float32(0)
        if queries is None or gallery is None:
            raise ConfigError("similarity: name both modalities, queries='text' and gallery='image', or neither.")
        for modality in (queries, gallery):
            self.embedder.trained.require_known(modality)
        hubs = self.embedder.trained.hubs
        return np.float32(0) if hubs is None else hubs.constants(queries, gallery, torch.from_numpy(items))
