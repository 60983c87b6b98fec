"""The folder of what was drawn: pictures that say how they came about, a sheet of them, and a list.

Place in the flow: settings of a drawing -> Folder: which pictures are missing -> files, each whole or absent.

Files:
    generated.json         settings, and all pictures that belong to them; written first, and again at the end
    0000_seed0.png …       pictures, which hold the same about themselves
    sheet.png              all of them, small
"""

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from fusemix import __version__
from fusemix.disk.discarding import Owned, beside, clear_discarded, discard, require_free, require_ours, says
from fusemix.disk.files import differences, read_json, write_atomic, write_json
from fusemix.errors import OutputError
from fusemix.reports.drawn import FORMAT, GENERATED, VERSION

SHEET = "sheet.png"
KEY = "fusemix"
"""Of the text in a PNG that holds everything, as JSON; `Description` and `Software` are what viewers show."""


def is_drawn(folder: Path) -> bool:
    """Whether a folder says that pictures were drawn there."""
    return says(folder / GENERATED, FORMAT, VERSION)


OWNED = Owned("a folder of drawn pictures", is_drawn, (GENERATED, SHEET, "[0-9]*_seed[0-9]*.png"))


class Picture(NamedTuple):
    """One that is to be drawn.

    Attributes:
        file: its name.
        query: number of what it is drawn from.
        seed: of its random numbers.
    """

    file: str
    query: int
    seed: int


def pictures_of(num_queries: int, num: int, seed: int) -> list[Picture]:
    """All pictures of some queries, which have the same seeds."""
    places = [(query, place) for query in range(num_queries) for place in range(num)]
    return [
        Picture(f"{number:04}_seed{seed + place}.png", query, seed + place)
        for number, (query, place) in enumerate(places)
    ]


@dataclass(frozen=True)
class Folder:
    """Where pictures of some settings are written.

    Attributes:
        place: the folder, or one beside it that is going to take its place.
        settings: by which pictures are the same ones, as plain data.
        licences: of what they were drawn with.
        queries: what is drawn from, in words for people.
        pictures: all that belong to these.
    """

    place: Path
    settings: Mapping[str, Any]
    licences: Mapping[str, str]
    queries: Sequence[str]
    pictures: Sequence[Picture]

    def missing(self) -> list[Picture]:
        """What is not drawn yet; what is there under a name is whole."""
        return [one for one in self.pictures if not (self.place / one.file).is_file()]

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to do, the sheet included."""
        return is_drawn(self.place) and not self.missing() and (self.place / SHEET).is_file()

    def begin(self) -> None:
        """Make the folder, and say in it what is drawn there."""
        self.place.mkdir(parents=True, exist_ok=True)
        self._seal({})

    def end(self, environment: Mapping[str, Any]) -> None:
        """Say on what it was drawn."""
        self._seal({"environment": dict(environment)})

    def _seal(self, more: Mapping[str, Any]) -> None:
        listed = [{"file": one.file, "query": self.queries[one.query], "seed": one.seed} for one in self.pictures]
        content = {"format": FORMAT, "version": VERSION, "fusemix": __version__, "settings": dict(self.settings)}
        write_json(self.place / GENERATED, {**content, "licences": dict(self.licences), "pictures": listed, **more})

    def write(self, one: Picture, picture: Image.Image) -> None:
        """Write a picture, with all that is known of it inside."""
        own = {"query": self.queries[one.query], "seed": one.seed}
        about = {**self.settings, **own, "licences": dict(self.licences), "fusemix": __version__}
        with write_atomic(self.place / one.file) as file:
            file.write(as_png(picture, about))

    def captions(self) -> list[str]:
        """Of all pictures, for the sheet."""
        return [f"{self.queries[one.query]}\nseed {one.seed}" for one in self.pictures]


def as_png(picture: Image.Image, about: Mapping[str, Any]) -> bytes:
    """A PNG that says how it came about: see KEY."""
    texts, file = PngInfo(), io.BytesIO()
    texts.add_itxt(KEY, json.dumps(about, ensure_ascii=False))
    texts.add_itxt("Description", str(about["query"]))
    texts.add_text("Software", f"fusemix {__version__}")
    picture.save(file, format="PNG", pnginfo=texts)
    return file.getvalue()


def place_for(out: Path, settings: Mapping[str, Any], *, overwrite: bool) -> Path:
    """Where to draw: in a folder, or beside pictures of other settings that are to be replaced.

    What was drawn there with the same settings stays, and is gone on with.

    Raises:
        OutputError: something else is there.
    """
    clear_discarded(out)
    if not is_drawn(out):
        require_free(out, OWNED)
        return out
    if overwrite:
        require_ours(out, OWNED)
        place = beside(out.absolute())
        if is_drawn(place) and read_json(place / GENERATED).get("settings") != settings:
            discard(place, OWNED)
        return place
    if found := differences(read_json(out / GENERATED).get("settings"), dict(settings)):
        lines = "\n  ".join(found)
        raise OutputError(
            f"{out} holds pictures that were drawn otherwise:\n  {lines}\n"
            "Choose another out, or discard what is there with overwrite=true."
        )
    return out
