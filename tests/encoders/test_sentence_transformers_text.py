"""sentence-transformers models against what the library itself computes."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from sentence_transformers import SentenceTransformer

from fusemix.encoders import ENCODERS

TEXTS = ["a dog", "two small children laugh and throw red balls over the grass", "the green grass"]


def encode(encoder, texts=TEXTS):
    return encoder.encode(encoder.collate(encoder.prepare(texts)))


@pytest.fixture
def library(model_folder):
    return SentenceTransformer(model_folder("sentence"), device="cpu")


@pytest.fixture
def changed(model_folder, tmp_path):
    """A copy of the model with some values in one of its json files changed."""

    def copy(file, **values):
        folder = shutil.copytree(model_folder("sentence"), tmp_path / "sentence", dirs_exist_ok=True)
        path = Path(folder) / file
        path.write_text(json.dumps({**json.loads(path.read_text()), **values}))
        return ENCODERS.build("sentence_transformers", {"model": str(folder)})

    return copy


def test_latents_are_those_of_the_library(encoder, library):
    expected = torch.from_numpy(library.encode(TEXTS, show_progress_bar=False))
    torch.testing.assert_close(encode(encoder("sentence_transformers", "sentence")), expected, rtol=1e-5, atol=1e-5)


def test_latents_are_those_of_the_transformers_family_where_the_modules_are_the_same(encoder):
    expected = encode(encoder("transformers_text", "bert", pooling="mean"))
    torch.testing.assert_close(encode(encoder("sentence_transformers", "sentence")), expected, rtol=1e-5, atol=1e-5)


def test_a_prefix_acts_as_if_the_text_had_it(encoder):
    prefixed = encoder("sentence_transformers", "sentence", prefix="query : ")
    plain = encoder("sentence_transformers", "sentence")
    assert torch.equal(encode(prefixed), encode(plain, [f"query : {text}" for text in TEXTS]))
    assert not torch.allclose(encode(prefixed), encode(plain))
    assert prefixed.fingerprint == {**plain.fingerprint, "prefix": "query : "}


def test_a_text_is_cut_to_max_length_with_its_special_tokens_counted(encoder):
    cut, whole = (encoder("sentence_transformers", "sentence", **o) for o in ({"max_length": 6}, {}))
    found, expected = encode(cut, [TEXTS[1]]), encode(whole, ["two small children laugh"])
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    assert (cut.fingerprint["max_length"], whole.fingerprint["max_length"]) == (6, 48)


def test_another_pooling_in_the_models_own_files_changes_latents_and_fingerprint(encoder, changed):
    mean, cls = encoder("sentence_transformers", "sentence"), changed("1_Pooling/config.json", pooling_mode="cls")
    torch.testing.assert_close(encode(cls), encode(encoder("transformers_text", "bert", pooling="cls")))
    assert cls.fingerprint["weights_sha256"] == mean.fingerprint["weights_sha256"]
    assert cls.fingerprint != mean.fingerprint


def test_a_prompt_that_the_model_puts_before_each_text_is_in_the_fingerprint(encoder, changed):
    plain = encoder("sentence_transformers", "sentence")
    asking = changed("config_sentence_transformers.json", prompts={"ask": "query : "}, default_prompt_name="ask")
    torch.testing.assert_close(encode(asking), encode(plain, [f"query : {text}" for text in TEXTS]))
    assert (plain.fingerprint["prompt"], asking.fingerprint["prompt"]) == (None, "query : ")


def test_another_tokenizer_changes_latents_and_fingerprint(encoder, changed):
    lower, as_written = (
        encoder("sentence_transformers", "sentence"),
        changed("tokenizer_config.json", do_lower_case=False),
    )
    assert torch.equal(encode(lower, ["A Dog"]), encode(lower, ["a dog"]))
    assert not torch.allclose(encode(as_written, ["A Dog"]), encode(as_written, ["a dog"]))
    assert as_written.fingerprint["weights_sha256"] == lower.fingerprint["weights_sha256"]
    assert as_written.fingerprint["preprocessing"] != lower.fingerprint["preprocessing"]


def test_weights_that_the_checkpoint_lacks_and_nobody_asks_do_not_change_the_fingerprint(model_folder, tmp_path):
    from safetensors.torch import load_file, save_file

    folder = Path(shutil.copytree(model_folder("sentence"), tmp_path / "sentence"))
    weights = load_file(folder / "model.safetensors")
    kept = {name: value for name, value in weights.items() if "pooler" not in name}
    assert len(kept) == len(weights) - 2
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    fingerprints = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        fingerprints.append(ENCODERS.build("sentence_transformers", {"model": str(folder)}).fingerprint)
    assert fingerprints[0] == fingerprints[1]


def test_bfloat16_is_computed_in_and_recorded_and_latents_stay_float32(encoder):
    half, full = (encoder("sentence_transformers", "sentence", **o) for o in ({"dtype": "bfloat16"}, {}))
    assert half.fingerprint["dtype"] == "bfloat16"
    latents = encode(half)
    assert latents.dtype == torch.float32
    assert not torch.equal(latents, encode(full))
    assert torch.nn.functional.cosine_similarity(latents, encode(full)).min() > 0.99
