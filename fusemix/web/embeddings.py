"""Embeddings as OpenAI's interface gives them, so that whatever asks a server of embeddings can ask this one.

Place in the flow: body of POST /v1/embeddings -> parts, as those of a search -> Service.vectors -> embeddings. Errors
are told in OpenAI's form by error_page.py.

Fields that are not known are passed over, as clients send one or the other.
"""

import base64
import re
from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any, Literal

import numpy as np
from jaxtyping import Float32
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from fusemix.models.width import cut
from fusemix.web.answers import Refusal, json_response
from fusemix.web.requests import MOST_CHARACTERS, Part, body_of
from fusemix.web.service import Service
from fusemix.wiring.searching.searcher import Searcher

MOST_INPUTS = 2048
"""As in OpenAI's."""
DATA_URI = re.compile(r"data:([a-z]+)/[a-z0-9.+-]+(?:;[a-z0-9=.+-]+)*,", re.IGNORECASE)
BASE64 = ";base64,"
RULES = {
    "model": "must be a string; this server has one model, whatever it says",
    "input": f"must be a text, or a list of 1 to {MOST_INPUTS:,} texts and data URIs; no tokens",
    "encoding_format": "must be float or base64",
    "dimensions": "must be a whole number from 1",
}
"""What each field must be, for people."""


class EmbeddingRequest(BaseModel):
    """What is to be embedded, and how it is sent back."""

    model_config = ConfigDict(extra="ignore", strict=True)
    input: str | Annotated[list[str], Field(min_length=1, max_length=MOST_INPUTS)] = Field(
        description="texts, and pictures and sounds as data URIs: data:image/png;base64,…"
    )
    model: str = Field("", description="any; this server has one model")
    encoding_format: Literal["float", "base64"] | None = Field(
        None, description="numbers, or little-endian float32 in base64"
    )
    dimensions: int | None = Field(None, ge=1, description="how many numbers of each are kept, from the first")


parse = partial(body_of, EmbeddingRequest, RULES, 'such as {"model": "any", "input": ["a dog", "a cat"]}')
"""What the body of a request says."""


class Embeddings:
    """Answers `POST /v1/embeddings`.

    Args:
        service: that decodes and embeds.
        searcher: whose model it is.
    """

    def __init__(self, service: Service, searcher: Searcher) -> None:
        self._service, self._searcher = service, searcher

    async def answer(self, request: Request) -> Response:
        """The embeddings, of unit length."""
        asked = await self._service.read(request, parse)
        inputs = [asked.input] if isinstance(asked.input, str) else asked.input
        dim = self._width(asked.dimensions)
        parts = [part_of(each, f"input[{place}]", self._searcher.modalities) for place, each in enumerate(inputs)]
        vectors = cut(await self._service.vectors(parts), dim)
        words = sum(len(part.text.split()) for part in parts if part.text is not None)
        return json_response(
            {
                "object": "list",
                "data": listed(vectors, is_base64=asked.encoding_format == "base64"),
                "model": self._searcher.model_name,
                "usage": {"prompt_tokens": words, "total_tokens": words},
            }
        )

    def _width(self, dimensions: int | None) -> int:
        width = self._searcher.index.dim
        if dimensions is None or dimensions == width:
            return width
        if dimensions > width:
            raise Refusal(422, f"dimensions is {dimensions:,}, and the embeddings have {width}; {width} are the most")
        if not self._searcher.can_be_cut:
            raise Refusal(422, f"dimensions must be {width}: embeddings of this model have no order to be cut by")
        return dimensions


def part_of(given: str, where: str, modalities: Sequence[str]) -> Part:
    """A text, or a picture or a sound that stands in a data URI.

    Args:
        given: one of the inputs.
        where: its name, for messages.
        modalities: that the model embeds.

    Raises:
        Refusal: 422, it is too long or empty, or of a kind that is not embedded.
    """
    found = DATA_URI.match(given)
    kind = found[1].lower() if found else "text"
    if kind not in modalities:
        raise Refusal(422, f"{where}: the model of this server knows no {kind}; it embeds {', '.join(modalities)}")
    if found is None:
        if not given.strip() or len(given) > MOST_CHARACTERS or not _is_unicode(given):
            raise Refusal(422, f"{where} must be a text of 1 to {MOST_CHARACTERS:,} characters of Unicode")
        return Part.model_validate({kind: given})
    if kind == "text" or not found[0].lower().endswith(BASE64):
        raise Refusal(422, f"{where}: a data URI must be a picture or a sound in base64, as in data:image/png;base64,…")
    return Part.model_validate({kind: given[found.end() :]})


def _is_unicode(text: str) -> bool:
    """Whether a text has no half of a surrogate pair, which JSON can write alone."""
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


def listed(vectors: Float32[np.ndarray, "inputs dim"], *, is_base64: bool) -> list[dict[str, Any]]:
    """Embeddings as they are sent: numbers, or little-endian float32 in base64."""
    rows: Sequence[Any] = (
        [base64.b64encode(vector.astype("<f4").tobytes()).decode() for vector in vectors]
        if is_base64
        else vectors.tolist()
    )
    return [{"object": "embedding", "index": place, "embedding": row} for place, row in enumerate(rows)]
