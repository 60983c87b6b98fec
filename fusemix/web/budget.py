"""How much may be decoded: what one request may hold, and what all requests together may hold at once.

Place in the flow: Load of the files of a request -> Budget, which lets it go on when there is room -> decoding.
"""

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from fusemix.web.answers import Refusal

MOST_MEGAPIXELS = 64
MOST_MINUTES = 10
PATIENCE_SEC = 15.0
"""Who has waited so long for room is told to come again."""


class Load(NamedTuple):
    """What files decode to.

    Attributes:
        pixels: of pictures.
        seconds: of sounds.
        samples: of sounds, over all channels.
    """

    pixels: float = 0
    seconds: float = 0
    samples: float = 0

    def plus(self, other: "Load") -> "Load":
        """Both together."""
        return Load(*(one + two for one, two in zip(self, other, strict=True)))

    def fits(self, most: "Load") -> bool:
        """Whether no part of it is more."""
        return all(one <= two for one, two in zip(self, most, strict=True))

    def within(self, most: "Load") -> "Load":
        """Each part, or the most of it."""
        return Load(*map(min, self, most))


MOST = Load(MOST_MEGAPIXELS * 1_000_000, MOST_MINUTES * 60, MOST_MINUTES * 60 * 48_000 * 2)
"""Of one request, and of all at once. Samples are those of stereo at 48 kHz."""


def refuse_beyond(load: Load) -> None:
    """Refuse what is more than one request may hold.

    Raises:
        Refusal: 422.
    """
    if load.pixels > MOST.pixels:
        raise Refusal(
            422, f"the pictures have {load.pixels / 1e6:,.1f} million pixels together; {MOST_MEGAPIXELS} are the most"
        )
    if not load.fits(MOST):
        raise Refusal(422, f"the sounds are too long together; {MOST_MINUTES} minutes in stereo at 48 kHz are the most")


class Budget:
    """Room for what is decoded at once; who comes first is let in first.

    Args:
        most: altogether.
    """

    def __init__(self, most: Load = MOST) -> None:
        self._most, self._taken = most, Load()
        self._line: deque[object] = deque()
        self._changed = threading.Condition()

    @contextmanager
    def taken(self, load: Load, patience_sec: float = PATIENCE_SEC) -> Iterator[None]:
        """Wait for room, and keep it while the block lasts.

        Args:
            load: what is more than altogether counts as that.
            patience_sec: longest wait.

        Raises:
            Refusal: 503, there was no room for so long.
        """
        load, me = load.within(self._most), object()
        with self._changed:
            self._line.append(me)
            has_room = self._changed.wait_for(
                lambda: self._line[0] is me and self._taken.plus(load).fits(self._most), patience_sec
            )
            self._line.remove(me)
            if has_room:
                self._taken = self._taken.plus(load)
            self._changed.notify_all()
        if not has_room:
            raise Refusal(503, "too many pictures and sounds at once; try again in a moment", {"retry-after": "2"})
        try:
            yield
        finally:
            with self._changed:
                self._taken = self._taken.plus(Load(*(-part for part in load)))
                self._changed.notify_all()
