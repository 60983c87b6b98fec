"""Whether the server can do what it is there for: the model is asked for the embedding of something tiny.

Place in the flow: GET /healthz -> Health -> the Batcher, as any request -> an answer that holds for some seconds.

It tells nothing but that, since everybody may ask.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import numpy as np
from PIL import Image

from fusemix.contents import Waveform
from fusemix.models.queries import Query
from fusemix.web.answers import Refusal
from fusemix.web.batching import Answered, Asked, Batcher

KEPT_SEC = 5.0
"""An answer holds for so long, so that probes cost nothing."""
PATIENCE_SEC = 10.0
"""The model hangs where it takes longer."""
TINY: dict[str, Callable[[], Any]] = {
    "text": lambda: "ok",
    "image": lambda: Image.new("RGB", (32, 32)),
    "audio": lambda: Waveform(np.zeros(16_000, np.float32), 16_000),
}


class Health:
    """Asks the model how it is. One question is under way at most, however many ask.

    Args:
        batcher: running.
        kept_sec: see KEPT_SEC.
        patience_sec: see PATIENCE_SEC.
    """

    def __init__(self, batcher: Batcher, kept_sec: float = KEPT_SEC, patience_sec: float = PATIENCE_SEC) -> None:
        self._batcher, self._kept_sec, self._patience_sec = batcher, kept_sec, patience_sec
        self._asked: Future[Answered] | None = None
        self._since = 0.0

    async def require_well(self) -> None:
        """Wait for the embedding.

        Raises:
            Refusal: 503, there is none, or it takes too long; or too many others wait for theirs.
        """
        if self._asked is None or (self._asked.done() and time.monotonic() - self._since > self._kept_sec):
            self._asked = self._batcher.submit(Asked((self._tiny(),), 0))
            self._asked.add_done_callback(self._note)
        asked = self._asked
        coming = asyncio.wrap_future(asked)
        coming.add_done_callback(lambda done: done.cancelled() or done.exception())  # _note has told of it
        await asyncio.wait([coming], timeout=self._patience_sec)
        if not asked.done():
            raise Refusal(503, f"the model has not answered within {self._patience_sec:g} s: it hangs, or is too busy")
        if asked.exception() is not None or not np.isfinite(asked.result().vectors).all():
            raise Refusal(503, "the model fails to embed; the server's console says why")

    def _tiny(self) -> Query:
        kind = next(kind for kind in TINY if kind in self._batcher.searcher.modalities)
        return Query(kind, TINY[kind]())

    def _note(self, asked: Future[Answered]) -> None:
        self._since = time.monotonic()
        if error := asked.exception():
            logging.getLogger("uvicorn.error").error("/healthz: the model fails to embed", exc_info=error)
