"""Text models of transformers against what the library itself computes."""

import shutil
from types import SimpleNamespace

import pytest
import torch
from tiny_tokenizers import save_bert_tokenizer
from transformers import AutoModel, AutoTokenizer, ByT5Tokenizer
from transformers.modeling_outputs import BaseModelOutput

from fusemix.encoders import ENCODERS
from fusemix.encoders.transformers.shared import chosen_layer
from fusemix.encoders.transformers.text import longest, num_positions, pad, tokenizer_sha256
from fusemix.errors import EncoderError

TEXTS = ["a dog", "two small children laugh and throw red balls over the grass", "the green grass"]
LONG = "a dog runs over the green grass while two small children laugh " * 60


def encode(encoder, texts=TEXTS):
    return encoder.encode(encoder.collate(encoder.prepare(texts)))


@pytest.fixture(scope="module")
def library(model_folder):
    """Name of a model, texts, … -> (outputs of transformers' own model, padding mask), by its own padding."""

    def run(name, texts, **options):
        folder = model_folder(name)
        tokens = AutoTokenizer.from_pretrained(folder)(texts, padding=True, return_tensors="pt")
        network = AutoModel.from_pretrained(folder).eval()
        network = network.get_encoder() if name == "t5" else network
        with torch.inference_mode():
            return network(**tokens, **options), tokens["attention_mask"]

    return run


def masked_mean(states, mask):
    rows = [row[: int(real.sum())].double().mean(dim=0) for row, real in zip(states, mask, strict=True)]
    return torch.stack(rows).float()


@pytest.mark.parametrize("model", ["bert", "qwen3", "t5"])
def test_mean_is_the_librarys_last_state_averaged_over_real_tokens(encoder, library, model):
    outputs, mask = library(model, TEXTS)
    expected = masked_mean(outputs.last_hidden_state, mask)
    torch.testing.assert_close(encode(encoder("transformers_text", model)), expected, rtol=1e-5, atol=1e-5)


def test_cls_is_the_first_state_and_comes_before_the_mean(encoder, library):
    outputs, mask = library("bert", TEXTS)
    first, mean = outputs.last_hidden_state[:, 0], masked_mean(outputs.last_hidden_state, mask)
    built = {pooling: encoder("transformers_text", "bert", pooling=pooling) for pooling in ("cls", "cls+mean")}
    torch.testing.assert_close(encode(built["cls"]), first, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(encode(built["cls+mean"]), torch.cat([first, mean], dim=1), rtol=1e-5, atol=1e-5)
    assert built["cls+mean"].dim == 2 * built["cls"].dim


def test_last_token_of_a_decoder_is_the_state_of_the_end_token(encoder, library):
    built = encoder("transformers_text", "qwen3", pooling="last_token")
    for text, latent in zip(TEXTS, encode(built), strict=True):
        outputs, mask = library("qwen3", [text])
        assert mask.all()
        torch.testing.assert_close(latent, outputs.last_hidden_state[0, -1], rtol=1e-5, atol=1e-5)


def test_pooler_is_the_models_own_pooled_output(encoder, library):
    outputs, _ = library("bert", TEXTS)
    built = encoder("transformers_text", "bert", pooling="pooler")
    torch.testing.assert_close(encode(built), outputs.pooler_output, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("layer", [0, 1, 2, -1, -2])
def test_a_layer_is_an_index_into_the_librarys_hidden_states(encoder, library, layer):
    outputs, mask = library("bert", TEXTS, output_hidden_states=True)
    expected = masked_mean(outputs.hidden_states[layer], mask)
    found = encode(encoder("transformers_text", "bert", layer=layer))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("layer", [3, -4, 99])
def test_a_layer_that_the_model_does_not_have_is_refused_with_those_it_has(encoder, layer):
    with pytest.raises(EncoderError, match=rf"layer is {layer}, but this model's layers are from 0 to 2\."):
        encoder("transformers_text", "bert", layer=layer)


def test_a_layer_of_a_model_that_shows_none_is_refused():
    with pytest.raises(
        EncoderError, match="layer is 1, but this model's layers are none: this model does not give them"
    ):
        chosen_layer(BaseModelOutput(last_hidden_state=torch.zeros(1, 2, 3)), 1)


def test_a_prefix_acts_as_if_the_text_had_it(encoder):
    prefixed = encoder("transformers_text", "bert", prefix="query : ")
    plain = encoder("transformers_text", "bert")
    assert torch.equal(encode(prefixed), encode(plain, [f"query : {text}" for text in TEXTS]))
    assert not torch.allclose(encode(prefixed), encode(plain))
    assert prefixed.fingerprint == {**plain.fingerprint, "prefix": "query : "}


def test_a_text_is_cut_to_max_length_with_its_special_tokens_counted(encoder):
    cut, whole = encoder("transformers_text", "bert", max_length=6), encoder("transformers_text", "bert")
    text = "two small children laugh and throw red balls"
    assert [cut.length(tokens) for tokens in cut.prepare([text, "a dog"])] == [6, 4]
    found, expected = encode(cut, [text]), encode(whole, ["two small children laugh"])
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("max_length", [0, 49])
def test_a_length_that_the_model_cannot_take_is_refused_with_its_bounds(encoder, max_length):
    message = rf"max_length is {max_length}, but this model takes from 1 to 48 tokens"
    with pytest.raises(EncoderError, match=message):
        encoder("transformers_text", "bert", max_length=max_length)


def test_a_roberta_counts_its_positions_from_behind_the_padding_and_takes_a_text_of_any_length(encoder):
    built = encoder("transformers_text", "roberta")
    latents = encode(built, ["a dog " * 100, "a dog"])
    assert built.length(built.prepare(["a dog " * 100])[0]) == 30
    assert latents.isfinite().all()


@pytest.mark.parametrize(
    ("model", "longest"),
    [
        pytest.param("bert", 48, id="its tokenizer says 48, its positions 64"),
        pytest.param("qwen3", 128, id="its tokenizer says nothing, its positions 128"),
        pytest.param("t5", 512, id="neither says anything"),
        pytest.param("siglip", 64, id="it was trained on 64"),
        pytest.param("siglip_16", 16, id="it was trained on 16"),
    ],
)
def test_by_default_a_text_is_cut_to_what_the_model_takes(encoder, model, longest):
    pooling = "pooler" if "siglip" in model else "mean"
    built = encoder("transformers_text", model, pooling=pooling)
    (tokens,) = built.prepare([LONG])
    assert built.length(tokens) == longest
    assert built.fingerprint["preprocessing"]["max_length"] == longest
    assert encode(built, [LONG]).isfinite().all()


def test_the_text_tower_of_siglip_sees_padding_to_its_one_length(encoder, model_folder):
    folder = model_folder("siglip")
    tokens = AutoTokenizer.from_pretrained(folder)(TEXTS, padding="max_length", max_length=64, return_tensors="pt")
    with torch.inference_mode():
        expected = AutoModel.from_pretrained(folder).eval().text_model(tokens["input_ids"])
    built = encoder("transformers_text", "siglip", pooling="pooler")
    assert {built.length(tokens) for tokens in built.prepare(TEXTS)} == {64}
    torch.testing.assert_close(encode(built), expected.pooler_output, rtol=1e-5, atol=1e-5)
    mean = encode(encoder("transformers_text", "siglip", pooling="mean"))
    torch.testing.assert_close(mean, expected.last_hidden_state.mean(dim=1), rtol=1e-5, atol=1e-5)


def test_a_model_without_pooler_refuses_to_give_it(encoder):
    with pytest.raises(EncoderError, match=r"pooling=pooler: this model has no pooled output\. Use pooling=mean or"):
        encoder("transformers_text", "qwen3", pooling="pooler")


def test_the_pooler_of_an_inner_layer_is_refused(encoder):
    with pytest.raises(EncoderError, match="pooling=pooler: it belongs to the last layer alone"):
        encoder("transformers_text", "bert", pooling="pooler", layer=1)


def test_a_pooler_whose_weights_the_checkpoint_lacks_is_refused(encoder):
    message = r"the checkpoint lacks weights that are needed here: pooler\.dense\.weight, pooler\.dense\.bias\. Use"
    with pytest.raises(EncoderError, match=message):
        encoder("transformers_text", "bert_without_pooler", pooling="pooler")


def test_weights_that_the_checkpoint_lacks_and_nobody_asks_do_no_harm(encoder, library):
    outputs, mask = library("bert_without_pooler", TEXTS)
    expected = masked_mean(outputs.last_hidden_state, mask)
    torch.testing.assert_close(
        encode(encoder("transformers_text", "bert_without_pooler")), expected, rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("pooling", ["cls", "cls+mean"])
@pytest.mark.parametrize("model", ["qwen3", "t5"])
def test_a_text_model_without_class_token_refuses_to_give_one(encoder, model, pooling):
    with pytest.raises(EncoderError, match=r"this model has no class token. Use pooling=mean, or pooling=last_token"):
        encoder("transformers_text", model, pooling=pooling)


@pytest.mark.parametrize(("model", "options"), [("qwen3_with_start", {}), ("bert", {"layer": 0})])
def test_a_first_token_that_sees_nothing_of_the_text_is_refused(encoder, model, options):
    with pytest.raises(
        EncoderError, match=r"(?s)the first token of this model sees nothing of what follows .*last_tok"
    ):
        encoder("transformers_text", model, pooling="cls", **options)


@pytest.mark.parametrize("max_length", [8, 32])
def test_a_model_trained_on_padded_texts_takes_no_other_length(encoder, max_length):
    message = rf"max_length is {max_length}, but this model was trained on texts padded to 16 tokens"
    with pytest.raises(EncoderError, match=message):
        encoder("transformers_text", "siglip_16", pooling="pooler", max_length=max_length)


def test_an_unknown_pooling_is_refused_before_anything_is_loaded(encoder):
    with pytest.raises(EncoderError, match="pooling is 'max', but must be one of"):
        ENCODERS.build("transformers_text", {"model": "/nowhere", "pooling": "max"})


def test_bfloat16_is_computed_in_and_recorded_and_latents_stay_float32(encoder):
    half, full = encoder("transformers_text", "bert", dtype="bfloat16"), encoder("transformers_text", "bert")
    assert {parameter.dtype for parameter in half._tower.parameters()} == {torch.bfloat16}
    assert (half.fingerprint["dtype"], full.fingerprint["dtype"]) == ("bfloat16", "float32")
    latents = encode(half)
    assert latents.dtype == torch.float32
    assert torch.nn.functional.cosine_similarity(latents, encode(full)).min() > 0.99


def test_the_fingerprint_names_the_model_and_that_it_is_local(encoder):
    fingerprint = encoder("transformers_text", "bert").fingerprint
    assert fingerprint["family"] == "transformers"
    assert (fingerprint["model"], fingerprint["revision"]) == ("bert", "local")
    assert {"transformers", "tokenizers", "torch"} <= set(fingerprint["packages"])


def test_the_model_is_frozen(encoder):
    tower = encoder("transformers_text", "bert")._tower
    assert not tower.training
    assert not any(parameter.requires_grad for parameter in tower.parameters())


def test_nothing_to_prepare_gives_nothing(encoder):
    assert len(TEXTS) == len(encoder("transformers_text", "bert").prepare(TEXTS))
    assert ENCODERS.build("hog", {}).prepare([]) == []


def test_rows_are_padded_on_the_right_with_the_given_value():
    rows = [[1, 2, 3], [4], [5, 6]]
    longest = max(len(row) for row in rows)
    assert pad(rows, 9).tolist() == [row + [9] * (longest - len(row)) for row in rows]


def test_the_hash_of_a_tokenizer_sees_its_vocabulary_and_its_rules(model_folder, tmp_path):
    def load(**options):
        return tokenizer_sha256(AutoTokenizer.from_pretrained(model_folder("bert"), **options))

    assert load() == load()
    cased = AutoTokenizer.from_pretrained(model_folder("bert"))
    cased.add_tokens(["zebra"])
    assert tokenizer_sha256(cased) != load()
    assert tokenizer_sha256(AutoTokenizer.from_pretrained(model_folder("qwen3"))) != load()


def test_the_hash_of_a_tokenizer_written_in_python_sees_its_vocabulary():
    assert tokenizer_sha256(ByT5Tokenizer()) == tokenizer_sha256(ByT5Tokenizer())
    assert tokenizer_sha256(ByT5Tokenizer()) != tokenizer_sha256(ByT5Tokenizer(extra_ids=3))


@pytest.mark.parametrize("stated", [-1, 0, 10**30])
def test_a_model_that_states_no_limit_of_positions_takes_the_usual_length(stated):
    tokenizer, tower = SimpleNamespace(model_max_length=10**30), torch.nn.Module()
    tower.config = SimpleNamespace(max_position_embeddings=stated)
    assert longest(tokenizer, num_positions(tower)) == 512


def test_positions_that_are_counted_from_behind_padding_are_fewer_in_any_model():
    tower = torch.nn.Module()
    tower.config = SimpleNamespace(max_position_embeddings=514)
    tower.position_embeddings = torch.nn.Embedding(514, 4)
    assert num_positions(tower) == 514
    tower.position_embeddings = torch.nn.Embedding(514, 4, padding_idx=1)
    assert num_positions(tower) == 512


def test_the_text_tower_of_clap_is_found(model_folder, tmp_path):
    folder = tmp_path / "clap"
    shutil.copytree(model_folder("clap"), folder)
    save_bert_tokenizer(folder)
    built = ENCODERS.build("transformers_text", {"model": str(folder), "pooling": "mean"})
    assert built.encode(built.collate(built.prepare(["a dog"]))).shape == (1, 32)
