"""What may be asked, and how a request becomes queries.

Place in the flow: body of POST /api/search -> SearchRequest, or a batch -> queries for the Searcher; or one sentence
that says what is wrong. A query never holds a file name: pictures and sounds are bytes, which decoders.py decodes.
"""

import base64
import binascii
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, NamedTuple, TypeVar

import numpy as np
from jaxtyping import Float32
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from fusemix.encoders.decoding import clean_text
from fusemix.models.queries import EMBEDDING, LIKE, Query
from fusemix.parts.registry import nearest
from fusemix.search.typed import WEIGHTS, is_weight
from fusemix.web.answers import Refusal
from fusemix.web.budget import MOST_MEGAPIXELS, MOST_MINUTES
from fusemix.web.uploads import PICTURES, SOUNDS

MOST_CHARACTERS = 2_000
MOST_QUERIES = 16
MOST_BATCH = 16
"""Searches in one request."""
MOST_RESULTS = 1_000
DEFAULT_RESULTS = 20
MOST_VALUES = 1 << 18
"""Values in a request, such as the numbers of embeddings; each takes some dozen bytes when it is read."""
KINDS = ("text", "image", "audio", LIKE, EMBEDDING)
Told = TypeVar("Told", bound=BaseModel)


def _weighed(number: float) -> float:
    if not is_weight(number):
        raise ValueError(WEIGHTS)
    return number


class Part(BaseModel):
    """One query: exactly one of the fields, and what is said of it."""

    model_config = ConfigDict(extra="forbid", strict=True)
    text: Annotated[str, Field(max_length=MOST_CHARACTERS)] | None = Field(None, description="words to search by")
    image: str | None = Field(None, description=f"a picture file ({', '.join(PICTURES)}), base64")
    audio: str | None = Field(None, description=f"a sound file ({', '.join(SOUNDS)}), base64")
    like: str | None = Field(None, description="id of an item of the index")
    embedding: str | list[Annotated[float, Field(allow_inf_nan=False)]] | None = Field(
        None, description="a vector in the space of the index: numbers, or little-endian float16 as base64url"
    )
    embedding_of: str | None = Field(None, description="modality of what the embedding is of, where that is known")
    weight: Annotated[float, AfterValidator(_weighed)] = Field(1.0, description=f"how much it counts: {WEIGHTS}")

    def given(self) -> list[str]:
        """Names of the fields that are there."""
        return [kind for kind in KINDS if getattr(self, kind) is not None]


class SearchRequest(Part):
    """One query, or several in `queries`, which are added up."""

    queries: list[Part] | None = Field(None, min_length=1, max_length=MOST_QUERIES, description="several, added up")
    k: int = Field(DEFAULT_RESULTS, ge=1, le=MOST_RESULTS, description="how many items to list")
    modality: str | None = Field(
        None, description="what to find, in an index that holds several, or any; by default no texts for texts"
    )
    filter: dict[str, Any] | None = Field(
        None, description="column -> a value, a list of which one will do, or a range: what must hold of the items"
    )
    group_duplicates: bool = Field(False, description="list near duplicates as one result, which names the others")
    batch: list[dict[str, Any]] | None = Field(
        None, min_length=1, max_length=MOST_BATCH, description="instead of all else: several searches, each by itself"
    )

    def parts(self) -> list[Part]:
        """The queries, each with one field.

        Raises:
            Refusal: 422, there is none, or one has several fields.
        """
        if self.batch is not None:
            raise Refusal(422, "a search of a batch has no 'batch' of its own")
        if self.queries is not None and self.given():
            raise Refusal(422, f"give either 'queries' or '{self.given()[0]}', not both")
        if self.queries is not None and "weight" in self.model_fields_set:
            raise Refusal(422, "give a 'weight' to each of 'queries', not beside them")
        parts: list[Part] = [self] if self.queries is None else self.queries
        for place, part in enumerate(parts):
            where = "" if part is self else f"queries[{place}]: "
            if not part.given():
                raise Refusal(422, f"{where}nothing to search for; give one of {', '.join(KINDS)}")
            if len(part.given()) > 1:
                raise Refusal(422, f"{where}give one of {' and '.join(part.given())}; several go into 'queries'")
        return parts


RULES = {
    "text": f"must be a string of Unicode text, of at most {MOST_CHARACTERS:,} characters",
    "image": "must be a picture file as a base64 string",
    "audio": "must be a sound file as a base64 string",
    "like": "must be the id of an item, as a string",
    "embedding": "must be a list of finite numbers, or float16 values as a base64 string",
    "queries": f"must be a list of 1 to {MOST_QUERIES} objects, each with one of {', '.join(KINDS)}",
    "embedding_of": "must be a modality of the model, as a string",
    "weight": f"must be {WEIGHTS}",
    "modality": "must be a modality of the index, or any, as a string",
    "filter": "must be an object: names of columns, and for each a value, a list of values, or a range",
    "k": f"must be a whole number from 1 to {MOST_RESULTS:,}",
    "group_duplicates": "must be true or false",
    "batch": f"must be a list of 1 to {MOST_BATCH} objects, each a search of its own",
}
"""What each field must be, for people."""


def parse(body: bytes) -> SearchRequest:
    """Read the body of a search.

    Raises:
        Refusal: 400, it is no JSON; 422, it says something else than may be asked.
    """
    asked = search_of(read_json(body, 'such as {"text": "a dog", "k": 10}'))
    if asked.batch is not None and (others := asked.model_fields_set - {"batch"}):
        raise Refusal(422, f"give either 'batch' or '{min(others)}', not both; each search of a batch has its own")
    return asked


def read_json(body: bytes, example: str) -> dict[str, Any]:
    """The object that a body holds.

    Args:
        body: of a request.
        example: of one, for people.

    Raises:
        Refusal: 400, it is no JSON; 422, it is no object, or holds too much.
    """
    if body.count(b",") > MOST_VALUES:
        raise Refusal(422, f"the request holds too many values; {MOST_VALUES:,} are the most")
    try:
        data = json.loads(body)
    except (ValueError, RecursionError) as error:
        reason = f": {error.msg} at character {error.pos}" if isinstance(error, json.JSONDecodeError) else ""
        raise Refusal(400, f"the body is not valid JSON{reason}") from error
    if not isinstance(data, dict):
        raise Refusal(422, f"the body must be a JSON object {example}")
    return data


def body_of(kind: type[Told], rules: Mapping[str, str], example: str, body: bytes) -> Told:
    """Read the body of a request whose fields are plain values.

    Args:
        kind: what it says.
        rules: field -> what it must be, for people.
        example: of a body, for people.
        body: of the request.

    Raises:
        Refusal: 400, it is no JSON; 422, it says something else than may be asked.
    """
    data = read_json(body, example)
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        field = str(error.errors()[0]["loc"][0])
        raise Refusal(422, f"{field} {rules[field]}") from error


def search_of(data: dict[str, Any]) -> SearchRequest:
    """A search, out of plain data.

    Raises:
        Refusal: 422, it says something else than may be asked.
    """
    try:
        return SearchRequest.model_validate(data)
    except ValidationError as error:
        raise Refusal(422, _sentence(error)) from error


def _sentence(error: ValidationError) -> str:
    """The first thing that is wrong, in words."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    where = first["loc"]
    if first["type"] == "extra_forbidden":
        name, known = str(where[-1])[:40], [*(RULES if len(where) == 1 else Part.model_fields)]
        return f"there is no field {name!r}.{nearest(name, known)} Known: {', '.join(known)}"
    field = next(name for name in reversed(where) if name in RULES)
    prefix = f"queries[{where[1]}]." if field != "queries" and where[0] == "queries" else ""
    return f"{prefix}{field} {RULES[field]}"


class Terms(NamedTuple):
    """What the index and the server allow.

    Attributes:
        modalities: that the model embeds.
        widths: of embeddings that may be asked by.
        most_bytes: of one picture or sound.
        find: id -> position in the index, or None.
    """

    modalities: tuple[str, ...]
    widths: tuple[int, ...]
    most_bytes: int
    find: Callable[[str], int | None]


def query_of(part: Part, terms: Terms) -> Query:
    """The query that a part of a request asks; pictures and sounds are the bytes of their files.

    Raises:
        Refusal: 404, the id is not in the index; 413, a file is too large; 422, something cannot be read.
    """
    (kind,) = part.given()
    content = getattr(part, kind)
    if kind == LIKE:
        item = content.encode("utf-8", "replace").decode()  # half a surrogate pair is in no id
        if terms.find(item) is None:
            raise Refusal(404, f"no item of the index has the id {item[:200]!r}")
        return Query(kind, item, weight=part.weight)
    if kind == EMBEDDING:
        if part.embedding_of not in (None, *terms.modalities):
            raise Refusal(422, f"embedding_of must be one of {', '.join(terms.modalities)}")
        return Query(kind, _embedding(content, terms.widths), part.embedding_of, part.weight)
    if kind not in terms.modalities:
        others = ", ".join([kind for kind in KINDS if kind in terms.modalities] + [LIKE, EMBEDDING])
        raise Refusal(422, f"the model of this index knows no {kind}; ask by {others}")
    if kind == "text":
        return Query(kind, _text(content), weight=part.weight)
    return Query(kind, _file(kind, content, terms.most_bytes), weight=part.weight)


def _text(given: str) -> str:
    try:
        return clean_text(given)
    except ValueError as error:
        raise Refusal(422, "the text is empty") from error


def _file(kind: str, given: str, most_bytes: int) -> bytes:
    raw = _bytes(kind, given)
    if len(raw) > most_bytes:
        raise Refusal(413, f"the {kind} file has {len(raw) / 1e6:,.1f} MB; {most_bytes / 1e6:,.0f} MB are the most")
    return raw


def _bytes(field: str, given: str) -> bytes:
    """Out of base64, in the usual alphabet or that of addresses; line breaks and padding do not matter."""
    try:
        plain = given.encode("ascii").translate(bytes.maketrans(b"-_", b"+/"), b"\r\n").rstrip(b"=")
        return base64.b64decode(plain + b"=" * (-len(plain) % 4), validate=True)
    except (ValueError, binascii.Error) as error:
        raise Refusal(422, f"{field} is not valid base64") from error


def _embedding(given: str | list[float], widths: Sequence[int]) -> Float32[np.ndarray, " dim"]:
    if isinstance(given, str):
        raw = _bytes(EMBEDDING, given)
        vector = np.frombuffer(raw, "<f2") if len(raw) in [2 * width for width in widths] else np.zeros(len(raw) // 2)
    else:
        vector = np.array(given)
    with np.errstate(over="ignore"):
        vector = vector.astype(np.float32)
        length = np.linalg.norm(vector)
    if len(vector) not in widths or not 0 < length < np.inf:
        many = " or ".join(map(str, widths))
        raise Refusal(422, f"the embedding must be {many} finite numbers, not all zero; these are {len(vector):,}")
    return vector


def encoded(vector: Float32[np.ndarray, " dim"]) -> str:
    """A unit vector in half precision, as base64url: what `embedding` takes and a link holds."""
    return base64.urlsafe_b64encode(vector.astype("<f2").tobytes()).decode().rstrip("=")


def limits(most_bytes: int) -> dict[str, int]:
    """What may be asked, as plain data.

    Args:
        most_bytes: of one picture or sound.
    """
    return {
        "characters": MOST_CHARACTERS,
        "queries": MOST_QUERIES,
        "batch": MOST_BATCH,
        "k": MOST_RESULTS,
        "upload_mb": most_bytes // 1_000_000,
        "megapixels": MOST_MEGAPIXELS,
        "minutes": MOST_MINUTES,
    }
