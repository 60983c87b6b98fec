"""Latents of an earlier fusemix, and of other releases of libraries, against those of today."""

from dataclasses import replace

import pytest
from latent_samples import learnable_set

from fusemix.cli.called import run_command
from fusemix.encoders.decoding import ALIKE, RULES, decoding_fingerprint
from fusemix.errors import RunError
from fusemix.fusion.checkpoints import about, read_checkpoint
from fusemix.latents.manifest import Accepted, read_manifest, write_manifest
from fusemix.models.fitting import encoder_differences, fitting_set

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


HUB, LOCAL, SHARE = ({"family": "mine", "model": model} for model in ("org/model", "/models/a", "/share/a"))


def fingerprint(encoder):
    return {"encoder": encoder, "dim": 8, "dtype": "float16"}


def test_what_was_accepted_as_equal_does_not_differ_in_either_direction():
    equal = [("encoder.model", "org/model", "/models/a"), ("encoder.model", "/share/a", "/models/a")]
    for one in (HUB, LOCAL, SHARE):
        for other in (HUB, LOCAL, SHARE):
            assert encoder_differences(fingerprint(one), fingerprint(other), "encoder 2", equal) == []
    assert len(encoder_differences(fingerprint(HUB), fingerprint(SHARE), "encoder 2", equal[:1])) == 1
    assert len(encoder_differences(fingerprint(HUB), fingerprint({**LOCAL, "more": 1}), "encoder 2", equal)) == 1


def test_a_model_is_used_with_latents_that_were_accepted_as_those_of_its_encoder(tmp_path):
    accepted = (Accepted("encoder.family", "eyes", "moved eyes"),)
    sets = [learnable_set(tmp_path, "train"), learnable_set(tmp_path, "validation", num_left=32, seed=1)]
    note(sets[0], accepted)
    change_family(sets[1], "moved eyes")
    run = tmp_path / "run"
    quick = [
        "embedding_dim=8",
        "adapter.name=linear",
        "optim={batch_size: 16, max_epochs: 1}",
        "compute.accelerator=cpu",
    ]
    encoders = "encoders={image: [eyes], text: [words]}"
    run_command("train", [f"train={sets[0]}", f"validation={sets[1]}", f"out={run}", encoders, *quick])
    record = about(read_checkpoint(run / "checkpoints/best.ckpt"))
    assert fitting_set(sets[1], record).name == "made_up/validation"
    change_family(sets[1], "other eyes")
    with pytest.raises(RunError, match="encoder.family: on disk 'other eyes', now 'eyes'"):
        fitting_set(sets[1], record)
    note(sets[1], (Accepted("encoder.family", "other eyes", "eyes"),))
    fitting_set(sets[1], record)


def note(latent_set, accepted):
    store = latent_set / "image/eyes"
    write_manifest(store, replace(read_manifest(store), accepted=accepted))


def change_family(latent_set, family):
    store = latent_set / "image/eyes"
    manifest = read_manifest(store)
    write_manifest(store, replace(manifest, fingerprint={**manifest.fingerprint, "encoder": {"family": family}}))
