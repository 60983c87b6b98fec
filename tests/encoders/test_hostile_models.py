"""A model of any family, from whoever it may be, runs nothing that it brings."""

import contextlib
import json
import sys

import pytest
from hostile import MODELS, change, copied, everywhere, with_auto_maps, with_pickled_weights

from fusemix.encoders import ENCODERS
from fusemix.encoders.looked_over import asking
from fusemix.errors import EncoderError

every_family = pytest.mark.parametrize("family", MODELS)


@pytest.fixture
def marker(tmp_path):
    """What hostile code would make."""
    return tmp_path / "ran"


@pytest.fixture
def theirs(model_folder, tmp_path, marker):
    """Family -> a tiny model of it, with a file of code beside its own."""
    return lambda family: copied(model_folder(MODELS[family][0]), tmp_path / "theirs", marker)


@pytest.fixture(autouse=True)
def nobody_answers(monkeypatch):
    def answer(question=""):
        raise AssertionError(f"a prompt was shown: {question}")

    monkeypatch.setattr("builtins.input", answer)


def test_every_family_with_a_model_is_attacked_here():
    assert set(MODELS) == set(ENCODERS.names()) - {"hog", "log_mel"}


@every_family
def test_code_beside_a_model_is_not_run_where_its_configs_name_it(family, theirs, marker):
    folder = with_auto_maps(theirs(family))
    with contextlib.suppress(EncoderError):  # timm and open_clip look at other files
        ENCODERS.build(family, {"model": str(folder)})
    assert not marker.exists()
    assert not any(name.endswith("evil") for name in sys.modules)


@every_family
@pytest.mark.parametrize("is_zipped", [True, False])
def test_pickled_weights_are_refused_unopened(family, theirs, marker, is_zipped):
    folder = with_pickled_weights(theirs(family), MODELS[family][1], marker, is_zipped)
    with pytest.raises(EncoderError, match="cannot be loaded: its weights are pickled objects .* not opened. Take a"):
        ENCODERS.build(family, {"model": str(folder)})
    assert not marker.exists()


@every_family
def test_a_setting_that_trusts_code_is_refused_in_any_config_at_any_depth(family, theirs, marker):
    folder = theirs(family)
    for path, content in everywhere(folder, "trust_remote_code", True).items():
        before = path.read_text()
        path.write_text(content)
        with pytest.raises(
            EncoderError, match=rf"its .*{path.name} says trust_remote_code: true, .* Nothing of it was"
        ):
            ENCODERS.build(family, {"model": str(folder)})
        path.write_text(before)
    assert not marker.exists()


@pytest.mark.parametrize("family", ["open_clip_image", "open_clip_text"])
def test_the_tokenizer_of_an_open_clip_model_runs_no_code(family, theirs, marker):
    """mlfoundations/open_clip#1146."""
    folder = theirs(family)
    path = folder / "open_clip_config.json"
    change(path, lambda config: config["model_cfg"]["text_cfg"].update(hf_tokenizer_name="any"))
    with_auto_maps(folder)
    if family == "open_clip_text":
        with pytest.raises(EncoderError, match="cannot be loaded"):  # where transformers would ask at the terminal
            ENCODERS.build(family, {"model": str(folder)})
    change(path, lambda config: config["model_cfg"]["text_cfg"].update(tokenizer_kwargs={"trust_remote_code": True}))
    with pytest.raises(EncoderError, match=r"open_clip_config.json says trust_remote_code: true"):
        ENCODERS.build(family, {"model": str(folder)})
    assert not marker.exists()


@pytest.mark.parametrize(
    "kind", ["evil.Tokenizer", "os.mkdir", "torch.hub.load", "sentence_transformers.base.model.pickle"]
)
def test_a_module_that_is_not_of_sentence_transformers_is_refused(theirs, marker, kind):
    folder = theirs("sentence_transformers")
    change(folder / "modules.json", lambda modules: modules[0].update(type=kind))
    with pytest.raises(EncoderError, match=f"modules.json says type: .{kind}"):
        ENCODERS.build("sentence_transformers", {"model": str(folder)})
    assert not marker.exists()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("config.json", {"a": [{"Trust-Remote-Code": "yes"}]}),
        ("config.json", {"trust_remote_code": 1}),
        ("sentence_bert_config.json", {"model_args": {"weights_only": False}}),
        ("config.json", {"text_config": {"_attn_implementation": "somebody/kernel"}}),
        ("config.json", {"attn_implementation": {"": "somebody/kernel"}}),
        ("config.json", {"use_kernels": True}),
        ("router_config.json", {"types": {"0_Evil": "evil.Evil"}}),
        ("config.json", {"activation_function": "os.mkdir"}),
    ],
)
def test_settings_that_ask_for_code_are_told(name, content):
    assert len(list(asking(name, content))) == 1


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("config.json", {"trust_remote_code": False, "weights_only": True, "attn_implementation": "sdpa"}),
        ("config.json", {"activation_function": "gelu_new", "auto_map": {"AutoModel": "modeling.Model"}}),
        ("2_Dense/config.json", {"activation_function": "torch.nn.modules.activation.Tanh"}),
        ("modules.json", [{"type": "sentence_transformers.models.Transformer"}]),
        ("config.json", ["trust_remote_code", 3, None]),
        ("tokenizer_config.json", {"tokenizer_class": "BertTokenizer"}),
    ],
)
def test_what_honest_models_say_is_none_of_it(name, content):
    assert list(asking(name, content)) == []


def test_a_model_of_the_hub_is_looked_over_before_it_is_loaded(monkeypatch, theirs, marker):
    """As its library would find it in the cache."""
    folder = theirs("open_clip_text")
    change(folder / "open_clip_config.json", lambda config: config.update(x={"trust_remote_code": True}))
    asked = []

    def snapshot(name, revision=None, **how):
        asked.append((name, revision, how["allow_patterns"]))
        return str(folder)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot)
    for family, model, wanted in [
        ("open_clip_text", "hf-hub:some/model", ("some/model", None)),
        ("timm", "hf_hub:some/model@v1", ("some/model", "v1")),
        ("transformers_text", "some/model", ("some/model", None)),
        ("sentence_transformers", "some/model", ("some/model", None)),
    ]:
        with pytest.raises(EncoderError, match=r"open_clip_config.json says trust_remote_code: true"):
            ENCODERS.build(family, {"model": model})
        assert asked[-1] == (*wanted, ["*.json"])
    assert not marker.exists()


def test_code_that_the_user_asks_for_runs_still(theirs, marker):
    folder = with_auto_maps(theirs("transformers_text"))
    with contextlib.suppress(EncoderError):  # these classes would not do
        ENCODERS.build("transformers_text", {"model": str(folder), "trust_remote_code": True})
    assert marker.exists()
    assert json.loads((folder / "config.json").read_text())["auto_map"]
