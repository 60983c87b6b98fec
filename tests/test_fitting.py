"""Latents of an earlier fusemix, and of other releases of libraries, against those of today."""

import pytest

from fusemix.build.fitting import encoder_differences
from fusemix.encoders.decoding import ALIKE, RULES, decoding_fingerprint

TODAY = {
    "family": "transformers",
    "model": "bert",
    "weights_sha256": "abc",
    "pooling": "mean",
    "config": {"hidden_act": "gelu", "layer_norm_eps": 1e-12},
    "rules": {"pooling": 1, "image": 2},
    "tokenizer": {},
    "packages": {"transformers": "5.23.0"},
}


def lines(one, other):
    first, second = ({"encoder": encoder, "dim": 8, "dtype": "float16"} for encoder in (one, other))
    return [line.partition(":")[0] for line in encoder_differences(first, second, "encoder 1")]


def without(*keys, **changes):
    return {key: value for key, value in {**TODAY, **changes}.items() if key not in keys}


def test_equal_fingerprints_do_not_differ():
    assert lines(TODAY, dict(TODAY)) == []


def test_what_an_earlier_fusemix_did_not_note_does_not_differ():
    old = without("config", "tokenizer", "rules")
    assert lines(old, {**TODAY, "rules": {"pooling": 1, "image": 1}}) == []
    assert lines({**TODAY, "rules": {"pooling": 1, "image": 1}}, old) == []


def test_what_it_noted_does():
    assert lines(without("config", "rules", pooling="cls"), without("rules")) == ["encoder 1.encoder.pooling"]


def test_the_first_rules_count_as_number_one():
    assert lines(without("rules"), TODAY) == ["encoder 1.encoder.rules.image"]
    assert lines(without(rules={"pooling": 1}), TODAY) == ["encoder 1.encoder.rules.image"]


def test_a_config_differs_field_by_field_and_not_by_what_another_release_added():
    other = {"hidden_act": "relu", "layer_norm_eps": 1e-12, "new": True}
    act, new = "encoder 1.encoder.config.hidden_act", "encoder 1.encoder.config.new"
    assert lines(TODAY, {**TODAY, "config": other}) == [act, new]
    assert lines(TODAY, {**TODAY, "config": other, "packages": {"transformers": "5.24.0"}}) == [act]


@pytest.mark.parametrize("key", ["config", "rules", "packages", "tokenizer"])
def test_the_fingerprint_of_ones_own_encoder_is_compared_as_it_stands(key):
    mine = {"family": "mine", key: 1}
    assert lines(mine, {"family": "mine", key: 2}) == [f"encoder 1.encoder.{key}"]
    assert lines(mine, {"family": "mine"}) == [f"encoder 1.encoder.{key}"]


def test_rules_of_decoding_that_differ_in_odd_files_alone_are_one_for_a_run():
    assert set(RULES.values()) <= set(ALIKE)
    now = {"decoding": decoding_fingerprint("image")}
    old = {"decoding": {**now["decoding"], "rules": 2}}
    assert encoder_differences(old, now, "") == []
    assert encoder_differences({"decoding": {**now["decoding"], "rules": 1}}, now, "") == [
        "decoding.rules: on disk 1, now 3"
    ]
