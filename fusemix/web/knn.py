"""Searches as clip-retrieval's server takes them, so that its ClipClient can ask this one.

Place in the flow: body of POST /knn-service -> one query -> Service.found -> a list of items.

Of what such a client sends, the words of an index that another server has, and what that server would filter by, are
passed over: here is one index, and nothing is filtered. Pictures are never fetched by their addresses.
"""

from functools import partial
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from fusemix.web.answers import Refusal, json_response
from fusemix.web.requests import MOST_CHARACTERS, MOST_RESULTS, Part, body_of
from fusemix.web.service import Service
from fusemix.wiring.searching.searcher import Searcher

RULES = {
    "text": f"must be a string of Unicode text, of at most {MOST_CHARACTERS:,} characters",
    "image": "must be a picture file as a base64 string",
    "image_url": "must be left out",
    "embedding_input": "must be a list of finite numbers",
    "modality": "must be a string, such as image or text",
    "num_images": f"must be a whole number from 1 to {MOST_RESULTS:,}",
}
"""What each field must be, for people."""


class KnnRequest(BaseModel):
    """One of the first four, and how many of which are wanted."""

    model_config = ConfigDict(extra="ignore", strict=True)
    text: Annotated[str, Field(max_length=MOST_CHARACTERS)] | None = Field(None, description="words to search by")
    image: str | None = Field(None, description="a picture file, base64")
    embedding_input: list[Annotated[float, Field(allow_inf_nan=False)]] | None = Field(
        None, description="a vector in the space of the index"
    )
    image_url: str | None = Field(None, description="refused: this server fetches nothing")
    modality: str | None = Field(None, description="what to find, where the index holds it")
    num_images: int = Field(40, ge=1, le=MOST_RESULTS, description="how many items to list")

    def part(self) -> Part:
        """The query.

        Raises:
            Refusal: 422, there is none, or there are several, or its picture lies elsewhere.
        """
        if self.image_url is not None:
            raise Refusal(422, "image_url is not fetched by this server; send the picture itself, in base64, as image")
        given = {"text": self.text, "image": self.image, "embedding": self.embedding_input}
        there = {name: value for name, value in given.items() if value is not None}
        if len(there) != 1:
            raise Refusal(422, "give one of text, image and embedding_input")
        return Part.model_validate(there)


parse = partial(body_of, KnnRequest, RULES, 'such as {"text": "a dog", "num_images": 10}')
"""What the body of a request says."""


class Knn:
    """Answers `POST /knn-service` and `GET /indices-list`.

    Args:
        service: that searches.
        searcher: whose index it is.
    """

    def __init__(self, service: Service, searcher: Searcher) -> None:
        self._service, self._searcher = service, searcher

    async def answer(self, request: Request) -> Response:
        """The best items; what another index is called does not matter."""
        asked = await self._service.read(request, parse)
        modality = asked.modality if asked.modality in self._searcher.index.counts else None
        _, found = await self._service.found([asked.part()], asked.num_images, modality)
        origin = f"{request.url.scheme}://{request.url.netloc}"
        return json_response([_item(result, origin) for result in self._service.results(found.hits)])

    def names(self) -> list[str]:
        """Of the indexes that are here: one."""
        return [self._searcher.name]


def _item(result: dict[str, Any], origin: str) -> dict[str, Any]:
    """A result as such clients read it: `id` is a number there."""
    about = {"id": result["position"], "similarity": result["score"], "url": f"{origin}{result['media']}"}
    caption = {"caption": result["captions"][0]} if result["captions"] else {}
    return {**about, **caption, "path": result["path"]}
