"""What every encoder must keep, whatever its family: the protocol, the fingerprint, and no say of neighbours."""

import json
import pickle

import numpy as np
import pytest
import torch

from fusemix.encoders import ENCODERS
from fusemix.encoders.weightless import Weightless, without_weights
from fusemix.interfaces import Encoder

CASES = [
    ("hog", None, {}),
    ("hog", None, {"size": 32, "coarse": 0}),
    ("log_mel", None, {}),
    ("log_mel", None, {"bands": 40, "coefficients": 20, "segments": 3}),
    ("transformers_text", "bert", {}),
    ("transformers_text", "bert", {"pooling": "cls", "layer": 1}),
    ("transformers_text", "bert", {"pooling": "cls+mean"}),
    ("transformers_text", "bert", {"pooling": "pooler"}),
    ("transformers_text", "bert_without_pooler", {}),
    ("transformers_text", "qwen3", {"pooling": "last_token"}),
    ("transformers_text", "t5", {}),
    ("transformers_text", "siglip", {"pooling": "pooler"}),
    ("transformers_image", "dinov2", {}),
    ("transformers_image", "dinov2_registers", {"pooling": "mean"}),
    ("transformers_image", "dinov3", {"pooling": "cls+mean"}),
    ("transformers_image", "siglip", {"pooling": "pooler"}),
    ("transformers_image", "siglip2", {"pooling": "pooler"}),
    ("transformers_image", "siglip2", {"pooling": "mean"}),
    ("transformers_image", "mobilenet", {"pooling": "pooler"}),
    ("transformers_image", "mobilenet", {"pooling": "mean"}),
    ("transformers_image", "vit", {"layer": 1}),
    ("transformers_image", "swin", {"pooling": "mean"}),
    ("transformers_audio", "whisper", {}),
    ("transformers_audio", "clap", {"pooling": "pooler"}),
    ("transformers_audio", "ast", {"pooling": "pooler"}),
    ("transformers_audio", "ast", {"pooling": "cls", "window_sec": 1.0}),
    ("transformers_audio", "ast", {"pooling": "mean"}),
    ("transformers_audio", "wavlm", {}),
    ("transformers_audio", "wavlm", {"layer": 1, "window_sec": 2.0}),
    ("open_clip_image", "open_clip", {}),
    ("open_clip_text", "open_clip", {}),
    ("timm", "timm_vit", {}),
    ("timm", "timm_vit", {"pooling": "cls"}),
    ("timm", "timm_vit", {"pooling": "cls+mean"}),
    ("transformers_image", "timm_vit", {"pooling": "cls+mean"}),
    ("transformers_image", "dinov3_convnext", {}),
    ("transformers_image", "dinov3_convnext", {"pooling": "mean"}),
    ("transformers_image", "dinov2", {"pooling": "pooler", "dtype": "bfloat16"}),
    ("timm", "timm_swin", {"pooling": "mean"}),
    ("timm", "timm_resnet", {"pooling": "mean"}),
    ("sentence_transformers", "sentence", {}),
    ("sentence_transformers", "sentence", {"prefix": "query : "}),
]
every_encoder = pytest.mark.parametrize(("name", "model", "options"), CASES)
one_per_model = pytest.mark.parametrize(
    ("name", "model", "options"), list({case[:2]: case for case in reversed(CASES)}.values())
)

TEXTS = ["a dog", "the two small children laugh and throw red balls over the green grass", "grass", "a red dog runs"]


@pytest.fixture
def contents_for(picture, sound):
    """Unlike items for an encoder: long and short, wide and high."""

    def contents(encoder):
        if encoder.modality == "text":
            return TEXTS
        if encoder.modality == "image":
            shapes = [(40, 30), (30, 90), (64, 64), (33, 20)]
            return [picture(*shape, seed=seed) for seed, shape in enumerate(shapes)]
        return [sound(seconds, encoder.sample_rate, seed=i) for i, seconds in enumerate([1.0, 3.3, 0.5, 11.0])]

    return contents


def test_every_registered_encoder_is_held_to_the_contract():
    assert {name for name, _, _ in CASES} == set(ENCODERS.names())


@every_encoder
def test_an_encoder_offers_all_that_the_protocol_asks(encoder, name, model, options):
    built = encoder(name, model, **options)
    assert isinstance(built, Encoder)
    assert built.modality in ("image", "text", "audio")
    assert (built.sample_rate is not None) == (built.modality == "audio")
    assert built.to("cpu") is built


@every_encoder
def test_latents_are_finite_float32_rows_of_the_promised_width_without_gradient(
    encoder, contents_for, name, model, options
):
    built = encoder(name, model, **options)
    contents = contents_for(built)
    prepared = built.prepare(contents)
    latents = built.encode(built.collate(prepared))
    assert len(prepared) == len(contents)
    assert latents.shape == (len(contents), built.dim)
    assert latents.dtype == torch.float32
    assert latents.isfinite().all()
    assert not latents.requires_grad


@every_encoder
def test_latents_hold_no_memory_but_their_own(encoder, contents_for, name, model, options):
    """A view of all states of a batch would keep them, 257 times as much, as long as the latents of a shard."""
    built = encoder(name, model, **options)
    latents = built.encode(built.collate(built.prepare(contents_for(built))))
    assert latents.untyped_storage().nbytes() == latents.numel() * latents.element_size()


@every_encoder
def test_a_latent_does_not_depend_on_its_neighbours(encoder, contents_for, name, model, options):
    built = encoder(name, model, **options)
    contents = contents_for(built)
    together = built.encode(built.collate(built.prepare(contents)))
    for i, content in enumerate(contents):
        alone = built.encode(built.collate(built.prepare([content])))[0]
        assert (alone - together[i]).abs().max() <= 1e-5 * alone.abs().max()


@every_encoder
def test_a_latent_does_not_depend_on_its_place_in_the_batch(encoder, contents_for, name, model, options):
    built = encoder(name, model, **options)
    prepared = built.prepare(contents_for(built))
    forward, backward = (built.encode(built.collate(order)) for order in (prepared, prepared[::-1]))
    torch.testing.assert_close(backward.flip(0), forward, rtol=1e-5, atol=1e-5 * float(forward.abs().max()))


@every_encoder
def test_items_are_prepared_alike_together_one_by_one_and_without_the_models_weights(
    encoder, contents_for, name, model, options
):
    built = encoder(name, model, **options)
    contents = contents_for(built)
    together, singly = built.prepare(contents), [built.prepare([content])[0] for content in contents]
    light = pickle.loads(without_weights(built))
    assert (model is None) != any(isinstance(part, Weightless) for part in vars(light).values())
    assert torch.equal(built.encode(built.collate(singly)), built.encode(built.collate(together)))
    assert torch.equal(built.encode(light.collate(light.prepare(contents))), built.encode(built.collate(together)))


@every_encoder
def test_unlike_items_get_unlike_latents(encoder, contents_for, name, model, options):
    built = encoder(name, model, **options)
    latents = built.encode(built.collate(built.prepare(contents_for(built))))
    gaps = torch.nn.functional.pdist(latents)
    assert gaps.min() > 1e-3 * latents.norm(dim=1).max()


@every_encoder
def test_an_item_has_a_length_to_order_batches_by(encoder, contents_for, name, model, options):
    built = encoder(name, model, **options)
    lengths = [built.length(prepared) for prepared in built.prepare(contents_for(built))]
    assert all(isinstance(length, int) and length > 0 for length in lengths)
    if built.modality == "audio" and model is not None:
        assert np.argsort(lengths).tolist() == [2, 0, 1, 3]


@every_encoder
def test_two_loads_of_one_model_have_one_fingerprint_that_json_can_hold(encoder, model_folder, name, model, options):
    first = encoder(name, model, **options)
    again = ENCODERS.build(name, {**({"model": model_folder(model)} if model else {}), **options})
    assert again is not first
    assert again.fingerprint == first.fingerprint
    written = json.dumps(first.fingerprint, allow_nan=False)
    assert json.loads(written) == first.fingerprint
    assert " at 0x" not in written, "an address in memory changes with every run"


@one_per_model
def test_a_model_of_other_weights_has_another_fingerprint(encoder, model_folder, name, model, options):
    if model is None:
        pytest.skip("has no weights")
    other = ENCODERS.build(name, {"model": model_folder(model, seed=1), **options}).fingerprint
    first = encoder(name, model, **options).fingerprint
    assert other["weights_sha256"] != first["weights_sha256"]
    assert {**other, "weights_sha256": None} == {**first, "weights_sha256": None}


@pytest.mark.parametrize(
    ("name", "model", "some", "others"),
    [
        ("hog", None, {}, {"orientations": 8}),
        ("hog", None, {}, {"block": 2}),
        ("hog", None, {}, {"coarse": 8}),
        ("log_mel", None, {}, {"bands": 40}),
        ("log_mel", None, {}, {"coefficients": 12}),
        ("log_mel", None, {}, {"segments": 8}),
        ("log_mel", None, {}, {"segment_frames": 8}),
        ("transformers_text", "bert", {}, {"prefix": "query : "}),
        ("transformers_text", "bert", {}, {"max_length": 8}),
        ("transformers_text", "bert", {}, {"pooling": "cls"}),
        ("transformers_text", "bert", {}, {"layer": 1}),
        ("transformers_text", "bert", {}, {"dtype": "bfloat16"}),
        ("transformers_image", "vit", {}, {"pooling": "mean"}),
        ("transformers_image", "vit", {}, {"layer": 1}),
        ("transformers_audio", "wavlm", {}, {"window_sec": 2.0}),
        ("transformers_audio", "wavlm", {}, {"layer": 1}),
        ("open_clip_image", "open_clip", {}, {"dtype": "bfloat16"}),
        ("timm", "timm_vit", {}, {"pooling": "mean"}),
        ("sentence_transformers", "sentence", {}, {"prefix": "query : "}),
        ("sentence_transformers", "sentence", {}, {"max_length": 8}),
    ],
)
def test_an_option_that_changes_the_numbers_changes_the_fingerprint(encoder, name, model, some, others):
    assert encoder(name, model, **some).fingerprint != encoder(name, model, **others).fingerprint


def test_an_encoder_of_ones_own_needs_no_line_in_the_table(tmp_path, monkeypatch):
    (tmp_path / "letter_counts.py").write_text(
        "import torch\n"
        "class Counts:\n"
        "    modality, sample_rate = 'text', None\n"
        "    def __init__(self, letters):\n"
        "        self.letters, self.dim = letters, len(letters)\n"
        "        self.fingerprint = {'letters': letters}\n"
        "    def to(self, device): return self\n"
        "    def prepare(self, contents): return list(contents)\n"
        "    def length(self, prepared): return len(prepared)\n"
        "    def collate(self, prepared): return prepared\n"
        "    def encode(self, batch): return torch.tensor([[float(t.count(c)) for c in self.letters] for t in batch])\n"
        "def counts(*, letters='ab'): return Counts(letters)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    built = ENCODERS.build("letter_counts:counts", {"letters": "abc"})
    assert isinstance(built, Encoder)
    assert built.encode(built.collate(built.prepare(["cab cab", "bb"]))).tolist() == [[2, 2, 2], [0, 2, 0]]
