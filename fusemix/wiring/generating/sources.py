"""What pictures are drawn from: queries, as latents of the generator's space.

Place in the flow: Embedder -> Space; queries -> unit vectors, summed -> latents of the length that latents have there.
Not here: what a query is (models/queries.py), and how a length is restored (models/fixed_space.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float32
from PIL import Image

from fusemix.disk.files import sha256_of_file
from fusemix.encoders.given import Given
from fusemix.errors import ConfigError, EncoderError, QueryError, RunError, sentence_of
from fusemix.fusion.checkpoints import ENDED
from fusemix.interfaces import Items
from fusemix.models.embedder import Embedder
from fusemix.models.fixed_space import LENGTHS, Lengths, as_latents, can_be_undone, fixed_modalities
from fusemix.models.queries import Query, given, summed, told
from fusemix.models.trained import Trained

PICTURES = "image"
GREY, GREY_SIDE = (123, 117, 104), 224
"""Mean colour of CLIP's training pictures, on the scale to 255: normalised it is 0, of which Kandinsky's own prior
makes what guidance leads away from."""


@dataclass(frozen=True)
class Space:
    """The space of a generator, in a model that leaves it as it is.

    Attributes:
        modality: whose encoder made it.
        lengths: of its latents.
        length: of the latents that are asked for.
    """

    modality: str
    lengths: Lengths
    length: float


def space_of(trained: Trained, length: float | None) -> Space:
    """The space that a model leaves as it is.

    Args:
        trained: the model.
        length: that is asked for; None takes the mean of the training latents.

    Raises:
        RunError: it leaves none as it is, or does not know how latents come back.
    """
    record, folder = trained.record, trained.folder
    kept = fixed_modalities(record["config"], record["dims"])
    if not kept:
        raise RunError(
            f"{folder} brings all modalities into a space of its own, which no pipeline draws from. Train with the "
            "adapter identity over the latents of the generator's own image encoder: adapters.image=identity."
        )
    if trained.model.beside or trained.model.rotation is not None:
        raise RunError(
            f"{folder} has a closed form beside its adapters, so its embeddings are no latents. Set it to 0."
        )
    modality = PICTURES if PICTURES in kept else kept[0]
    if not can_be_undone(record["config"]["preprocess"], len(record["dims"][modality])):
        raise RunError(
            f"{folder} brought the latents of several encoders of {modality} to one length each, which cannot be "
            "undone. Train with preprocess=[], or with the generator's own image encoder alone."
        )
    found = record.get(ENDED, {}).get(LENGTHS, {}).get(modality)
    if found is not None:
        lengths = Lengths(**found)
        return Space(modality, lengths, lengths.mean if length is None else length)
    if length is None or set(record["config"]["preprocess"]) - {"l2"}:
        raise RunError(
            f"{folder} does not say how long latents of {modality} are: an earlier fusemix has trained it. Train again "
            "with another out, or give length=… where preprocess is empty."
        )
    return Space(modality, Lengths(length, length, length, 1.0), length)


def require_width(trained: Trained, space: Space, width: int | None, whose: str) -> None:
    """Refuse a pipeline that takes embeddings of another width.

    Raises:
        RunError: it does.
    """
    if trained.model.width != width:
        raise RunError(
            f"{whose} draws from embeddings of {width} numbers, and {trained.folder} has {trained.model.width}: its "
            f"{space.modality} latents are not those of the generator's own image encoder. See the guide "
            "docs/guides/sounds_into_pictures.md for which encoder belongs to which pipeline."
        )


def asked(text: Sequence[str], image: Sequence[str], audio: Sequence[str], *, each: bool) -> list[list[Query]]:
    """Queries, each a sum of one term or more.

    Args:
        text: a text may be a sum of its own.
        image, audio: paths.
        each: every one given is a query by itself; otherwise all are one.
    """
    if not each:
        return [given(text, image, audio)]
    return [
        *(given(text=[one]) for one in text),
        *(given(image=[one]) for one in image),
        *(given(audio=[one]) for one in audio),
    ]


def named(queries: Sequence[Query]) -> str:
    """A sum, for people: a file by its name alone, wherever it lies."""
    return told(
        [query if query.kind == "text" else query._replace(content=Path(query.content).name) for query in queries]
    )


def noted(query: Query) -> dict[str, Any]:
    """A term as plain data, by which it is known again: a file by its content.

    Raises:
        QueryError: it cannot be read.
    """
    about = {"kind": query.kind, "weight": query.weight}
    if query.kind == "text":
        return {**about, "content": query.content}
    path = Path(query.content).expanduser()
    try:
        return {**about, "content": path.name, "sha256": sha256_of_file(path)}
    except OSError as error:
        raise QueryError(f"nothing can be drawn from {path}: {sentence_of(error)}") from error


def latents_of(
    embedder: Embedder, space: Space, asked: Sequence[Sequence[Query]]
) -> Float32[np.ndarray, "queries dim"]:
    """Latents to draw from, one a sum.

    Raises:
        QueryError: a term cannot be read, or the terms cancel out.
        RunError: the model knows nothing of a modality, or its encoder cannot be loaded.
    """
    vectors = []
    for queries in asked:
        found = np.concatenate([_embedded(embedder, query) for query in queries])
        vectors.append(summed(found, None, [query.weight for query in queries]))
    unit = np.stack(vectors).astype(np.float32)
    return as_latents(embedder.trained.model, space.modality, unit, space.lengths, space.length)


def _embedded(embedder: Embedder, query: Query) -> Float32[np.ndarray, "one dim"]:
    try:
        return embedder.embed(query.kind, Given([query.content], query.kind, None), batch_size=1)
    except EncoderError as error:
        reason = str(error).partition("cannot be embedded ")[2] or str(error)
        raise QueryError(f"nothing can be drawn from {query.content}: {reason}") from error


def is_grey(embedder: Embedder, space: Space, wanted: str) -> bool:
    """Whether guidance leads away from the latent of a grey picture, and not from zeros.

    Args:
        embedder: the model.
        space: to draw from.
        wanted: auto, grey or zeros.

    Raises:
        ConfigError: grey is wanted, and the model cannot embed pictures.
    """
    is_possible = space.modality == PICTURES and embedder.is_known(PICTURES)
    if wanted == "grey" and not is_possible:
        raise ConfigError(
            "unconditional=grey needs the encoder of pictures, which the model does not know. Give zeros."
        )
    return is_possible if wanted == "auto" else wanted == "grey"


def grey_latent(embedder: Embedder, space: Space) -> Float32[np.ndarray, " dim"]:
    """The latent of a picture of one colour, as its encoder gives it."""
    picture = Image.new("RGB", (GREY_SIDE, GREY_SIDE), GREY)
    return embedder.latents(Items(space.modality, pa.table({"id": ["grey"]}), [picture].__getitem__))[0]
