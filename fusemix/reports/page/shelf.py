"""Each picture and each sound once, however many cards show it.

Place in the flow: Shown items -> Shelf -> views for the template, and the media for the page's script.
"""

from typing import NamedTuple

from PIL import Image

from fusemix.interfaces import Waveform
from fusemix.media import OUTLINED_SEC, bars, data_uri, fitted, jpeg, mp3, outline
from fusemix.reports.page.data import Shown

NUM_BARS = 64
LONGEST_SIDE, JPEG_QUALITY = 224, 80
"""Of pictures: pixels, and PIL's scale. A page shows hundreds."""
HIGHEST_RATE, MP3_COMPRESSION = 24_000, 0.8
"""Of sounds: hertz, and libsndfile's scale from 0 to 1; about 35 kbit/s, enough to hear what a sound is."""


class View(NamedTuple):
    """An item as the template draws it.

    Attributes:
        kind: `image`, `audio` or `text`.
        id, label: of the item; the label is empty where the text says the same.
        text: of a text, else empty.
        medium: key on the shelf, or empty.
        size: width and height of a picture in pixels.
        length: of a sound, in words.
    """

    kind: str
    id: str
    label: str
    text: str = ""
    medium: str = ""
    size: tuple[int, int] = (0, 0)
    length: str = ""


class Shelf:
    """Views of items; their pictures and sounds are made small and kept, once each.

    Attributes:
        uris: key -> data URI.
        outlines: key of a sound -> SVG path of its outline, in a box of 4 NUM_BARS by 48.
    """

    def __init__(self) -> None:
        self.uris: dict[str, str] = {}
        self.outlines: dict[str, str] = {}
        self._views: dict[tuple[str, str], View] = {}

    def view(self, shown: Shown) -> View:
        """How an item is drawn; the same view for the same item of the same kind."""
        content = shown.content
        kind = {Image.Image: "image", Waveform: "audio"}.get(_base(content), "text")
        if (kind, shown.id) not in self._views:
            self._views[kind, shown.id] = self._new(kind, shown)
        return self._views[kind, shown.id]

    def _new(self, kind: str, shown: Shown) -> View:
        if kind == "text":
            text = str(shown.content)
            return View(kind, shown.id, "" if shown.label == text else shown.label, text=text)
        key = f"m{len(self.uris)}"
        view = View(kind, shown.id, shown.label, medium=key)
        if kind == "image":
            picture = fitted(shown.content, LONGEST_SIDE)
            self.uris[key] = data_uri("image/jpeg", jpeg(picture, JPEG_QUALITY))
            return view._replace(size=picture.size)
        sound = mp3(shown.content, OUTLINED_SEC, highest_rate=HIGHEST_RATE, compression=MP3_COMPRESSION)
        self.uris[key] = data_uri("audio/mpeg", sound)
        self.outlines[key] = bars(outline(shown.content, NUM_BARS), least=1.5)
        return view._replace(length=_length(shown.content))


def _base(content: object) -> type:
    return Image.Image if isinstance(content, Image.Image) else type(content)


def _length(wave: Waveform) -> str:
    seconds = len(wave.samples) / wave.sample_rate
    return f"{seconds:.1f} s" if seconds <= OUTLINED_SEC else f"first {OUTLINED_SEC} s of {seconds:,.1f} s"
