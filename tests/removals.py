"""An index of some pictures, from which another process removes two between any two of its look-ups."""

from index_samples import make, photos

from fusemix.search.folder import Index
from fusemix.wiring.searching.editing import remove

GONE = ["photos/3.png", "photos/12.png"]
SIZE = 24
LEFT = {f"photos/{number}.png" for number in range(SIZE)} - set(GONE)


def index_of_pictures(tiny, folder):
    """12 to 14 are the same."""
    files = [*tiny.files["image"][:13], *[tiny.files["image"][12]] * 2, *tiny.files["image"][15:SIZE]]
    return make(tiny, folder / "index", photos(folder / "photos", files))


def remove_before(lookup, out, monkeypatch):
    """Have GONE removed when positions are looked up for the given time, counted from 1."""
    rows, calls = Index._rows, []

    def removing(self, *arguments):
        calls.append(None)
        if len(calls) == lookup:
            remove(out, GONE)
        return rows(self, *arguments)

    monkeypatch.setattr(Index, "_rows", removing)
    return calls
