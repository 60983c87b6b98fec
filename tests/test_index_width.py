"""`fusemix index dim=… precision=…`: what is kept of each vector, and what is asked by."""

import numpy as np
import pytest
from index_samples import asked, content, make, photos

import fusemix
from fusemix.cli.called import run_command
from fusemix.errors import ConfigError, QueryError
from fusemix.models.queries import LIKE, Query
from fusemix.search.folder import Index
from fusemix.search.precision import as_stored
from fusemix.search.table import open_table
from fusemix.wiring.searching.searcher import Searcher

DIM = 5


@pytest.fixture(scope="module")
def model(tiny) -> fusemix.Model:
    return fusemix.load(tiny.run, device="cpu")


@pytest.fixture(scope="module")
def narrow(tiny, tmp_path_factory):
    """The latent set's pictures, in five half floats each."""
    out = tmp_path_factory.mktemp("narrow") / "index"
    return make(tiny, out, tiny.latents / "pictures" / "all", f"dim={DIM}", "precision=float16")


def prefixes(vectors, dim=DIM):
    vectors = np.asarray(vectors, np.float64)[:, :dim]
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_an_index_holds_the_first_numbers_and_says_so(tiny, model, narrow, capsys):
    about = Index(narrow).description
    assert (about.dim, about.precision) == (DIM, "float16")
    wanted = prefixes(model.encode(images=tiny.files["image"]))
    np.testing.assert_allclose(np.stack(list(content(narrow).values())), wanted, atol=0.02)
    (column,) = [field for field in open_table(narrow).schema if field.name == "vector"]
    assert str(column.type) == f"fixed_size_list<item: halffloat>[{about.width}]"
    run_command("info", [str(narrow)])
    assert f"{DIM}, in float16" in capsys.readouterr().out


def test_queries_of_every_kind_are_cut_as_items_are_and_find_what_prefixes_find(tiny, model, narrow):
    searcher = Searcher(narrow, device="cpu")
    embedding = model.encode(texts="one blue circle")
    queries = [
        Query("text", "one blue circle"),
        Query("image", tiny.files["image"][4]),
        Query("audio", tiny.files["audio"][3]),
        Query(LIKE, "image_captions/all/image/04.png"),
        Query("embedding", embedding),
        Query("embedding", embedding[:DIM]),
    ]
    vectors = searcher.embed(queries)
    given = [embedding, *(model.encode(images=tiny.files["image"][4:5])), model.encode(audio=tiny.files["audio"][3])]
    np.testing.assert_allclose(vectors[:3], prefixes(given), atol=1e-3)
    np.testing.assert_allclose(vectors[3], vectors[1], atol=0.02)
    np.testing.assert_allclose(vectors[4:], vectors[[0, 0]], atol=1e-6)
    items = prefixes(model.encode(images=tiny.files["image"])).astype(np.float32)
    exact = vectors @ as_stored(items, "float16").T
    for hits, row in zip(searcher.search(asked(searcher, queries), 3), exact, strict=True):
        np.testing.assert_allclose([hit.score for hit in hits], np.sort(row)[::-1][:3], atol=5e-3)


def test_an_index_that_grows_keeps_its_width_and_precision(tiny, tmp_path):
    folder = photos(tmp_path / "photos", tiny.files["image"][:5])
    out = make(tiny, tmp_path / "out", folder, f"dim={DIM}", "precision=float16")
    before = content(out)
    for path in tiny.files["image"][5:9]:
        (folder / f"later-{path.name}").write_bytes(path.read_bytes())
        make(tiny, out, folder)
    about, after = Index(out).description, content(out)
    assert (about.dim, about.precision, len(after)) == (DIM, "float16", 9)
    for item, vector in before.items():
        np.testing.assert_array_equal(after[item], vector)
    assert make(tiny, out, folder, f"dim={DIM}") == out


@pytest.mark.parametrize(("setting", "has"), [("dim=4", "dim=5"), ("precision=float32", "precision=float16")])
def test_another_width_or_precision_is_refused_and_says_how_to_make_it(tiny, narrow, setting, has):
    with pytest.raises(ConfigError, match=rf"has {has}, and {setting} is asked for\. Leave it out .* --overwrite$"):
        make(tiny, narrow, tiny.latents / "pictures" / "all", setting)
    assert Index(narrow).dim == DIM


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("dim=17", r"^embeddings of .*best\.ckpt have 16 numbers, and 17 are asked for\. Give 1 to 16\.$"),
        ("dim=0", r"^dim is 0, but must lie between 1 and 1048576\.$"),
        ("precision=int4", r"^precision is 'int4', but must be one of float32, float16\.$"),
        ("checkpoint=last", r"^5 are asked for, the first numbers .*last\.ckpt are in no order.* or take all 16\.$"),
    ],
)
def test_what_cannot_be_kept_is_one_message(tiny, tmp_path, setting, message):
    with pytest.raises(ConfigError, match=message):
        make(tiny, tmp_path / "out", tiny.latents / "pictures" / "all", f"dim={DIM}", setting)
    assert not (tmp_path / "out").exists()


def test_all_numbers_of_a_model_that_was_not_turned_may_be_rounded(tiny, tmp_path):
    last = ["checkpoint=last", "precision=float16", "dim=16"]
    about = Index(make(tiny, tmp_path / "out", tiny.latents / "pictures" / "all", *last)).description
    assert (about.dim, about.precision) == (16, "float16")


def test_an_embedding_of_another_width_is_refused(narrow):
    with pytest.raises(QueryError, match=r"^an embedding must be 5 or 16 finite numbers that are not all zero\.$"):
        Searcher(narrow, device="cpu").embed([Query("embedding", np.ones(7))])


def test_encode_gives_the_first_numbers(tiny, model):
    texts = ["a red bar", "one blue circle"]
    whole = model.encode(texts=texts)
    np.testing.assert_allclose(model.encode(texts=texts, dim=DIM), prefixes(whole), atol=1e-6)
    np.testing.assert_array_equal(model.encode(texts=texts, dim=16), whole)
    assert model.encode(texts="a red bar", dim=DIM, as_torch=True).shape == (DIM,)
    with pytest.raises(ConfigError, match="17 are asked for"):
        model.encode(texts=texts, dim=17)
    with pytest.raises(ConfigError, match="in no order"):
        fusemix.load(tiny.run, checkpoint="last", device="cpu").encode(texts=texts, dim=DIM)
