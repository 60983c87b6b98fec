"""What a repository of sentence-transformers says of pooling, length and prompt, and how a user's settings meet it."""

import json
import shutil
import warnings
from pathlib import Path

import pytest
import torch

from fusemix.encoders import ENCODERS
from fusemix.encoders.transformers.repository import Settings, Stated, read_stated, settled
from fusemix.errors import EncoderError

TEXTS = ["a dog", "two small children laugh and throw red balls over the grass", "the green grass"]
OLD = {"word_embedding_dimension": 32, "pooling_mode_cls_token": False, "pooling_mode_mean_tokens": False}


@pytest.fixture
def repository(model_folder, tmp_path):
    """Files to write -> a repository of sentence-transformers with these."""

    def make(**files):
        folder = Path(shutil.copytree(model_folder("sentence"), tmp_path / "sentence"))
        for name, data in files.items():
            (
                folder / {"pooling": "1_Pooling/config.json", "modules": "modules.json"}.get(name, f"{name}.json")
            ).write_text(json.dumps(data))
        return str(folder)

    return make


def encode(encoder, texts=TEXTS):
    return encoder.encode(encoder.collate(encoder.prepare(texts)))


def build(folder, name="transformers_text", **options):
    return ENCODERS.build(name, {"model": folder, **options})


@pytest.mark.parametrize(
    ("pooling", "ours"),
    [
        ({"pooling_mode": "mean"}, "mean"),
        ({"pooling_mode": "cls"}, "cls"),
        ({"pooling_mode": "lasttoken"}, "last_token"),
        ({"pooling_mode": ["cls", "mean"]}, "cls+mean"),
        ({**OLD, "pooling_mode_mean_tokens": True}, "mean"),
        ({**OLD, "pooling_mode_cls_token": True}, "cls"),
        ({**OLD, "pooling_mode_lasttoken": True}, "last_token"),
    ],
)
def test_a_repository_is_pooled_as_it_says_and_as_sentence_transformers_does(repository, pooling, ours):
    folder = repository(pooling={"embedding_dimension": 32, **pooling})
    built = build(folder)
    assert built.fingerprint["pooling"] == ours
    assert build(folder, pooling=ours).fingerprint == built.fingerprint
    theirs = build(folder, "sentence_transformers")
    torch.testing.assert_close(encode(built), encode(theirs), rtol=1e-5, atol=1e-5)


def test_texts_are_cut_and_prompted_as_the_repository_says(repository):
    prompts = {"prompts": {"ask": "query : "}, "default_prompt_name": "ask"}
    folder = repository(sentence_bert_config={"max_seq_length": 9}, config_sentence_transformers=prompts)
    built = build(folder)
    assert (built.fingerprint["preprocessing"]["max_length"], built.fingerprint["prefix"]) == (9, "query : ")
    torch.testing.assert_close(encode(built), encode(build(folder, "sentence_transformers")), rtol=1e-5, atol=1e-5)


def test_without_such_files_the_pooling_is_mean(encoder):
    assert encoder("transformers_text", "bert").fingerprint["pooling"] == "mean"
    assert encoder("transformers_text", "bert").fingerprint["prefix"] == ""


@pytest.mark.parametrize(
    ("stated", "user", "note"),
    [
        (Stated(("cls",)), {"pooling": "mean"}, r"it pools by cls, not by mean\."),
        (Stated(("cls", "mean")), {"pooling": "mean"}, r"it pools by cls and mean, not by mean\."),
        (Stated(("max",)), {"pooling": "mean"}, r"it pools by max, not by mean\."),
        (Stated(max_length=256), {"max_length": 512}, "it is made for texts of 256 tokens, and max_length is 512"),
        (Stated(prompt="query: "), {"prefix": ""}, "it puts 'query: ' before every text, and prefix is ''"),
        (Stated(prompts=(("query", "Ask: "),)), {}, r"it has prompts \(query: 'Ask: '\), of which none is used"),
        (
            Stated(left_out=("the module Dense",)),
            {},
            "it also has the module Dense, which is left out here. The encoder",
        ),
    ],
)
def test_a_setting_that_contradicts_the_repository_is_kept_and_said(stated, user, note):
    given = {"pooling": None, "prefix": None, "max_length": None, **user}
    with pytest.warns(UserWarning, match=f"the repository of 'a/model' says otherwise: {note}"):
        found = settled("a/model", stated, **given, otherwise="mean")
    assert found == Settings(user.get("pooling", "mean"), user.get("prefix", ""), user.get("max_length"))


def test_what_agrees_with_the_repository_is_no_word_worth():
    stated = Stated(("cls",), 512, "query: ", (("query", "query: "),))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for user in ({"pooling": "cls", "prefix": "query: ", "max_length": 128}, {}):
            given = {"pooling": None, "prefix": None, "max_length": None, **user}
            found = settled("a/model", stated, **given, otherwise="mean")
            assert found == Settings("cls", "query: ", user.get("max_length", 512))


def test_a_pooling_that_is_not_known_here_is_refused_where_the_user_chose_none():
    given = {"prefix": None, "max_length": None, "otherwise": "mean"}
    with pytest.raises(
        EncoderError, match=r"'a/model' pools by max, which transformers_text does not do. The encoder sen"
    ):
        settled("a/model", Stated(("max",)), pooling=None, **given)


def test_modules_that_do_more_than_pool_are_read(repository):
    kinds = ["Transformer", "Pooling", "Dense", "Normalize"]
    modules = [{"path": "1_Pooling" if kind == "Pooling" else "", "type": f"a.b.{kind}"} for kind in kinds]
    assert read_stated(repository(modules=modules), None).left_out == ("the module Dense",)


def test_words_without_pooling_are_read(repository):
    assert read_stated(repository(modules=[{"path": "", "type": "a.WordEmbeddings"}]), None).left_out
