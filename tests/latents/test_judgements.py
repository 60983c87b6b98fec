"""What tables of judgements name in two sets, compared with a naive reading."""

import re

import numpy as np
import pyarrow as pa
import pytest
from latent_samples import write_store

from fusemix.errors import ConfigError
from fusemix.interfaces import Items, PairSet
from fusemix.latents.judgements import judged, of_one_value, pattern_of, read_judgements
from fusemix.latents.set_writer import write_set
from fusemix.latents.sets import LatentSet

PICTURES = {
    "a.jpg": ["A dog runs.", "two Dogs on a beach"],
    "b.jpg": ["the sea, and waves"],
    "dog": ["hotdogs for sale"],
    "d.jpg": ["ein Übermut-Hund", "SEA_WAVES"],
}
SOUNDS = {"1.ogg": ["dog"], "2.ogg": ["sea waves"], "3.ogg": ["Übermut"], "4.ogg": ["dog", "a recording of a dog"]}


def write(folder, modality, said, **columns):
    """A set of items and of what is said of them; latents are the rows' numbers."""
    texts = [text for some in said.values() for text in some]
    owners = np.repeat(np.arange(len(said)), [len(some) for some in said.values()])
    links = np.column_stack([owners, np.arange(len(texts))])
    left = Items(modality, pa.table({"id": list(said), **columns}), lambda row: b"")
    ids = [f"text-{number}" for number in range(len(texts))]
    right = Items("text", pa.table({"id": ids, "caption": texts}), lambda row: texts[row])
    write_set(folder, PairSet("made_up", "1", folder.name, left, right, links), {"name": "x", "options": {}})
    latents = np.arange(len(said), dtype=np.float32)[:, None].copy()
    write_store(folder, left, "eyes", latents)
    write_store(folder, right, "words", np.arange(len(texts), dtype=np.float32)[:, None])
    return LatentSet(folder)


@pytest.fixture
def sets(tmp_path):
    return {"pictures": write(tmp_path / "p", "image", PICTURES), "sounds": write(tmp_path / "s", "audio", SOUNDS)}


def table(tmp_path, *rows, head="audio,image"):
    path = tmp_path / "judged.csv"
    path.write_text("\n".join([head, *rows, ""]), encoding="utf-8")
    return read_judgements(path)


def naive(cell, said):
    """Rows of what a cell names."""
    if cell in said:
        return [list(said).index(cell)]
    wanted = [part.casefold() for part in re.split(r"[\W_]+", cell) if part]
    found = []
    for row, texts in enumerate(said.values()):
        for text in texts:
            words = [part.casefold() for part in re.split(r"[\W_]+", text) if part]
            if any(words[at : at + len(wanted)] == wanted for at in range(len(words) - len(wanted) + 1)):
                found.append(row)
    return sorted(set(found))


@pytest.mark.parametrize(
    "rows",
    [
        ["dog,dogs"],
        ["dog,dog"],  # a picture's id goes before what pictures say
        ["sea waves,sea waves", "Sea_Waves,waves"],
        ["übermut,Übermut", "1.ogg,b.jpg", "dog,beach"],
        ["dog,dogs", "DOG,dogs", "4.ogg,a.jpg"],
    ],
)
def test_cells_name_ids_or_whole_words(tmp_path, sets, rows):
    found = judged(table(tmp_path, *rows), sets)
    pairs = {
        (sound, picture)
        for one, other in (row.split(",") for row in rows)
        for sound in naive(one, SOUNDS)
        for picture in naive(other, PICTURES)
    }
    assert pairs and found.links.tolist() == sorted(map(list, pairs))
    assert [side.modality for side in found.sides] == ["audio", "image"]
    assert found.left.take(found.links[:, 0])[:, 0].tolist() == found.links[:, 0].tolist()


def test_the_order_of_the_columns_is_that_of_the_sides(tmp_path, sets):
    found = judged(table(tmp_path, "dogs,dog", head="image,audio"), sets)
    assert [side.modality for side in found.sides] == ["image", "audio"] and found.links.tolist() == [[0, 0], [0, 3]]


@pytest.mark.parametrize("words", ["", "…", "_"])
def test_what_holds_no_word_names_nothing(words):
    assert not any(re.search(pattern_of(words).replace(r"\pL\pN", "a-z"), text) for text in ("", "a dog", "…"))


def test_letters_of_patterns_are_letters(tmp_path, sets):
    with pytest.raises(ConfigError, match=r"nothing in .* joins audio items of made_up/s and image items of"):
        judged(table(tmp_path, "d.g,dogs"), sets)


@pytest.mark.parametrize(
    ("head", "message"),
    [
        ("audio,picture", r"judges picture items, and the sets hold audio, image, text"),
        ("audio,imag", r"Did you mean 'image'"),
        ("text,image", r"judges text items, and pictures and sounds both hold some"),
        ("audio,image,text", r"has the columns audio, image, text. It must have two"),
    ],
)
def test_a_table_that_cannot_be_used_is_one_sentence(tmp_path, sets, head, message):
    with pytest.raises(ConfigError, match=message):
        judged(table(tmp_path, "dog,dog" + ",x" * (head.count(",") - 1), head=head), sets)


def test_a_file_that_is_no_table_is_one_sentence(tmp_path):
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(ConfigError, match="cannot be read as a CSV"):
            read_judgements(path)


def test_items_with_one_value_in_a_column_belong_together(tmp_path):
    values = {"pictures": [7, 8, 7, 9], "sounds": [7, 3, 9, 7]}
    sets = {
        "pictures": write(tmp_path / "p", "image", PICTURES, point=values["pictures"]),
        "sounds": write(tmp_path / "s", "audio", SOUNDS, point=values["sounds"]),
        "others": write(tmp_path / "o", "image", PICTURES),
    }
    (found,) = of_one_value("point", sets)
    wanted = [
        [row, other]
        for row, one in enumerate(values["pictures"])
        for other, two in enumerate(values["sounds"])
        if one == two
    ]
    assert found.links.tolist() == wanted and [side.modality for side in found.sides] == ["image", "audio"]
    with pytest.raises(ConfigError, match=r"no two modalities .* Columns: caption, point\. Did you mean 'point'"):
        of_one_value("pont", sets)
    with pytest.raises(ConfigError, match="nothing in point joins image items of"):
        of_one_value("point", {**sets, "sounds": write(tmp_path / "t", "audio", SOUNDS, point=[1, 2, 3, 4])})
