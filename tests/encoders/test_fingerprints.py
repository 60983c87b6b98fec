"""What a fingerprint says beside the weights: whatever else changes the numbers, field by field."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from transformers import PythonBackend
from transformers.models.byt5 import ByT5Tokenizer

from fusemix.contents import Waveform
from fusemix.disk.files import differences
from fusemix.encoders import ENCODERS, hog, log_mel, pooling, windows
from fusemix.encoders.facts import structure, tokenizer_settings

TEXT = ["a dog's ball, runs over: the green grass"]


@pytest.fixture
def edited(model_folder, tmp_path):
    """Name of a model, one of its files, what is done to it -> a folder of the same name with that change."""

    def edit(model, file, change):
        folder = Path(shutil.copytree(model_folder(model), tmp_path / model))
        settings = json.loads((folder / file).read_text())
        change(settings)
        (folder / file).write_text(json.dumps(settings))
        return str(folder)

    return edit


def setting(*keys, value):
    def change(settings):
        for key in keys[:-1]:
            settings = settings.setdefault(key, {})
        settings[keys[-1]] = value

    return change


CHANGES = [
    ("transformers_text", "bert", {}, setting("hidden_act", value="relu"), "config.hidden_act"),
    ("transformers_text", "bert", {}, setting("layer_norm_eps", value=0.1), "config.layer_norm_eps"),
    (
        *("transformers_text", "qwen3", {"pooling": "last_token"}),
        *(setting("rope_parameters", "rope_theta", value=9.0), "config.rope_parameters.rope_theta"),
    ),
    ("transformers_image", "vit", {}, setting("num_attention_heads", value=4), "config.num_attention_heads"),
    ("transformers_audio", "wavlm", {}, setting("hidden_act", value="relu"), "config.hidden_act"),
    ("sentence_transformers", "sentence", {}, setting("hidden_act", value="relu"), "config[0].hidden_act"),
    ("timm", "timm_vit", {}, setting("model_args", "num_heads", value=4), "structure.Attention.num_heads"),
    (
        *("timm", "timm_vit", {}, setting("model_args", "pool_include_prefix", value=True)),
        "structure.VisionTransformer.pool_include_prefix",
    ),
]
CLIP_CHANGES = [
    ("open_clip_image", setting("model_cfg", "quick_gelu", value=True), "structure.QuickGELU"),
    ("open_clip_text", setting("model_cfg", "quick_gelu", value=True), "structure.QuickGELU"),
    ("open_clip_text", setting("model_cfg", "text_cfg", "no_causal_mask", value=True), "structure.CLIP.attn_mask"),
    (
        *("open_clip_text", setting("model_cfg", "text_cfg", "tokenizer_kwargs", value={"clean": "canonicalize"})),
        "tokenizer.clean_fn",
    ),
]


@pytest.mark.parametrize(
    ("name", "model", "options", "file", "change", "field"),
    [
        *((*case[:3], "config.json", *case[3:]) for case in CHANGES),
        *((case[0], "open_clip", {}, "open_clip_config.json", *case[1:]) for case in CLIP_CHANGES),
    ],
)
def test_a_models_config_is_in_its_fingerprint_field_by_field(
    encoder, edited, name, model, options, file, change, field
):
    before = encoder(name, model, **options).fingerprint
    after = ENCODERS.build(name, {"model": edited(model, file, change), **options}).fingerprint
    assert after["weights_sha256"] == before["weights_sha256"]
    lines = differences(before, after)
    assert any(line.startswith(f"{field}: on disk ") for line in lines), lines


def test_what_changes_no_number_is_not_in_the_fingerprint(encoder, edited):
    def change(settings):
        settings.update(architectures=["BertForMaskedLM"], transformers_version="5.0.0", _name_or_path="elsewhere/bert")
        settings.update(id2label={"0": "yes", "1": "no"}, label2id={"yes": 0, "no": 1}, use_cache=False)

    after = ENCODERS.build("transformers_text", {"model": edited("bert", "config.json", change)})
    assert differences(encoder("transformers_text", "bert").fingerprint, after.fingerprint) == []


def test_code_that_a_folder_brings_is_in_the_fingerprint(encoder, edited):
    code = (
        "from transformers import BertConfig, BertModel\n"
        "class MyModel(BertModel):\n"
        "    factor = 1.0\n"
        "    def forward(self, *args, **options):\n"
        "        outputs = super().forward(*args, **options)\n"
        "        outputs.last_hidden_state = outputs.last_hidden_state * self.factor + 0.1\n"
        "        return outputs\n"
    )
    folder = Path(edited("bert", "config.json", setting("auto_map", value={"AutoModel": "mine.MyModel"})))
    found = []
    for factor in ("1.0", "2.0"):
        (folder / "mine.py").write_text(code.replace("1.0", factor))
        options = {"model": str(folder), "trust_remote_code": True}
        found.append(ENCODERS.build("transformers_text", options).fingerprint)
    assert [line.partition(":")[0] for line in differences(*found)] == ["code_sha256"]
    assert "code_sha256" not in encoder("transformers_text", "bert").fingerprint


def test_a_structure_says_what_modules_hold_beside_their_weights():
    def act(x):
        return x

    network = nn.Sequential(nn.LayerNorm(3, eps=0.25), nn.LayerNorm(3, eps=0.5), nn.Dropout(0.5), nn.GELU())
    network.act = act
    found = structure(network)
    assert found["LayerNorm"] == {"elementwise_affine": True, "eps": [0.25, 0.5]}
    assert found["GELU"] == {"approximate": "none"}
    assert found["Sequential"]["act"].endswith("<locals>.act")
    assert "Dropout" not in found


def test_the_switches_of_a_tokenizer_written_in_python_are_noted(encoder):
    assert issubclass(ByT5Tokenizer, PythonBackend)
    assert tokenizer_settings(ByT5Tokenizer())["class"] == "ByT5Tokenizer"
    assert tokenizer_settings(ByT5Tokenizer(split_special_tokens=True)) != tokenizer_settings(ByT5Tokenizer())
    assert encoder("transformers_text", "bert").fingerprint["tokenizer"] == {}


# Our own code: whoever changes a number below raises RULES beside the code, so that old latents do not pass for new


def test_the_numbers_of_the_pooling_belong_to_the_number_of_its_rules():
    states = torch.arange(24.0).reshape(2, 4, 3) ** 2
    mask = torch.tensor([[True, True, True, False], [True, True, True, True]])

    def pooled(name):
        return pooling.pool_tokens(states, mask, name, num_prefix=1, has_cls=True).tolist()

    assert pooling.RULES == 1
    assert pooled("cls") == [[0, 1, 4], [144, 169, 196]]
    assert pooled("mean") == [[22.5, 32.5, 44.5], [330, 367, 406]]
    assert pooled("cls+mean") == [[0, 1, 4, 22.5, 32.5, 44.5], [144, 169, 196, 330, 367, 406]]
    assert pooled("last_token") == [[36, 49, 64], [441, 484, 529]]


def test_the_numbers_of_windows_belong_to_the_number_of_their_rules():
    cut = windows.cut_windows(np.arange(25, dtype=np.float32), window_samples=10, sample_rate=100)
    assert windows.RULES == 1
    assert [(window[0], len(window)) for window in cut] == [(0, 10), (10, 10)]
    vectors = torch.tensor([[1.0], [2.0], [8.0]])
    assert windows.mean_over_windows(vectors, [0, 1, 0], [3, 1, 1], 2).tolist() == [[2.75], [2.0]]


HOG = [0.7071, 0.7071, 1.0, 0.0, 0.8174, 0.5761, 1.0, 0.0, 0.0, 0.7843, 0.1961, 0.7843]
"""Two orientations in each of four cells, and four grey pixels."""


def test_the_numbers_of_hog_belong_to_the_number_of_its_rules():
    pixels = np.zeros((16, 16), dtype=np.uint8)
    pixels[:, 8:], pixels[8:, :4] = 200, 100
    built = hog.hog(size=16, cell=8, orientations=2, coarse=2)
    (found,) = built.prepare([Image.fromarray(pixels).convert("RGB")])
    assert hog.RULES == built.fingerprint["rules"]["hog"] == 1
    np.testing.assert_allclose(found, HOG, atol=1e-3)


LOG_MEL = [1.9348, 2.5526, -1.5474, -0.4321, -0.0, 0.0, 1.14, 1.2235, 0.1389, 0.2077, 3.3322]
"""Two cepstra of the beginning, the end and the whole, their deviations and those of their steps, and a length."""


def test_the_numbers_of_log_mel_belong_to_the_number_of_its_rules():
    time = np.arange(4_800) / 16_000
    rising = Waveform(np.sin(2 * np.pi * (300 + 4_000 * time) * time).astype(np.float32), 16_000)
    built = log_mel.log_mel(bands=8, coefficients=2, segments=1, segment_frames=4)
    (found,) = built.prepare([rising])
    assert log_mel.RULES == built.fingerprint["rules"]["log_mel"] == 1
    np.testing.assert_allclose(found, LOG_MEL, atol=1e-3)


@pytest.mark.parametrize(
    ("name", "model", "options", "rules"),
    [
        ("transformers_text", "bert", {}, {"pooling": 1, "text": 1}),
        ("transformers_image", "vit", {}, {"pooling": 1, "image": 1}),
        ("transformers_audio", "wavlm", {}, {"pooling": 1, "windows": 1, "audio": 1}),
        ("transformers_audio", "ast", {"pooling": "mean"}, {"pooling": 1, "windows": 1, "audio": 2}),
        ("timm", "timm_vit", {}, {"pooling": 1, "timm": 1}),
    ],
)
def test_the_numbers_of_our_own_rules_are_in_the_fingerprint(encoder, name, model, options, rules):
    assert encoder(name, model, **options).fingerprint["rules"] == rules
