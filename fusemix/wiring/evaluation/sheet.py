"""Which generated pictures the sheet of a report shows, and what is said of each.

Place in the flow: agreement, nearest real pictures -> rows of reports/generation/picture.py.
"""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from fusemix.encoders.decoding import decode
from fusemix.reports.generation.picture import COLUMNS, Row, Shown
from fusemix.wiring.evaluation.drawn_from import Agreed
from fusemix.wiring.evaluation.likeness import Likeness
from fusemix.wiring.evaluation.pairs import kind_of, name_of
from fusemix.wiring.evaluation.pictures import Folder, Seen


def rows_of(folders: tuple[Folder, Folder], seen: tuple[Seen, Seen], near: Likeness, found: Agreed | None) -> list[Row]:
    """The pictures that agree least and most with their queries, and those nearest to a real one, above it.

    Args:
        folders: of generated and of real pictures.
        seen: which of them were measured.
        near: the nearest real picture of each generated one.
        found: agreement, where it was measured.
    """
    return [*(_agreeing(folders[0], found) if found else []), *_nearest(folders, seen, near)]


def _agreeing(folder: Folder, found: Agreed) -> list[Row]:
    order = sorted(found.cosines, key=lambda file: found.cosines[file][1])
    least, most = order[:COLUMNS], order[-1 : -COLUMNS - 1 : -1]
    row_of = {file: row for row, file in enumerate(folder.ids)}

    def shown(file: str) -> Shown:
        query, cosine = found.cosines[file]
        return _shown(folder, row_of[file], f"{kind_of(query)}: {name_of(query)}\n{file}, {cosine:.3f}")

    named = {"least agreement with what they were drawn from": least, "most agreement": most}
    return [Row(name, [shown(file) for file in files]) for name, files in named.items()]


def _nearest(folders: tuple[Folder, Folder], seen: tuple[Seen, Seen], near: Likeness) -> list[Row]:
    generated, reference = folders
    order = np.argsort(-near.nearest.cosines, kind="stable")[:COLUMNS].tolist()
    rows = [int(seen[0].rows[place]) for place in order]
    of_real = [int(seen[1].rows[near.nearest.places[place]]) for place in order]
    cosines = near.nearest.cosines[order].tolist()
    one, other = generated.ids, reference.ids
    made = [_shown(generated, row, f"{one[row]}\n{cosine:.3f}") for row, cosine in zip(rows, cosines, strict=True)]
    real: Sequence[Shown] = [_shown(reference, row, other[row]) for row in of_real]
    return [Row("nearest to a real picture, which stands below", made), Row("", real)]


def _shown(folder: Folder, row: int, caption: str) -> Shown:
    try:
        picture = decode("image", folder.items.read(row))
    except Exception:  # it was read a moment ago; a picture is not worth the report
        return Shown(None, caption)
    return Shown(picture if isinstance(picture, Image.Image) else None, caption)
