"""An exported model is the run that it came from, wherever it lies."""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from exports import MODALITIES, embeddings, train_on_made_up_latents
from safetensors.torch import load_file, save_file

import fusemix
from fusemix.cli.called import run_command
from fusemix.disk.discarding import replacing
from fusemix.errors import ConfigError, RunError
from fusemix.fusion.checkpoints import read_checkpoint, trained_model
from fusemix.models.folder import EXPORT
from fusemix.models.trained import open_trained

COLOUR = """
import torch

class Colour:
    modality, dim, sample_rate, fingerprint = "image", 12, None, {"family": "eyes"}
    def __init__(self, folder): self.folder = folder
    def to(self, device): return self
    def prepare(self, contents): return list(contents)
    def length(self, prepared): return 1
    def collate(self, prepared): return torch.zeros(len(prepared), 1)
    def encode(self, batch): return batch.expand(-1, 12) + 1

def colour(folder=""): return Colour(folder)
"""


@pytest.fixture
def copied(whole, tmp_path) -> Path:
    return shutil.copytree(whole, tmp_path / "copied")


def change(folder: Path, **changes) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_an_export_gives_the_vectors_of_its_run_bit_for_bit_where_run_and_encoders_are_gone(travelled):
    found = embeddings(travelled.folder, travelled.items)
    for modality in MODALITIES:
        assert found[modality].shape[0] >= 4
        assert (found[modality] == travelled.wanted[modality]).all()


def test_the_weights_are_those_of_the_checkpoint_that_was_asked_for_and_nothing_else(tiny, tmp_path):
    run_command("export", [f"model={tiny.run}", f"out={tmp_path / 'last'}", "checkpoint=last"])
    checkpoint = read_checkpoint(tiny.run / "checkpoints" / "last.ckpt")
    wanted, found = trained_model(checkpoint).state_dict(), load_file(tmp_path / "last" / "model.safetensors")
    assert found.keys() == wanted.keys()
    assert {key.partition(".")[0] for key in found} == {"adapters", "preprocessing", "log_logit_scale"}
    assert all(torch.equal(found[key], wanted[key]) for key in wanted)
    about = json.loads((tmp_path / "last" / "config.json").read_text())
    assert (about["checkpoint"], about["epoch"]) == ("last", 2)


def test_config_json_says_all_that_builds_the_model_and_nothing_of_this_machine(tiny, whole):
    about = json.loads((whole / "config.json").read_text())
    assert (about["format"], about["version"]) == ("fusemix.model", 1)
    vit = about["encoders"]["image"][1]
    assert vit == {
        "name": "vit",
        "source": {"name": "transformers_image", "options": {"pooling": "mean"}},
        "inside": {"model": "encoders/vit"},
    }
    assert about["record"]["encoders"]["image"][1]["encoder"]["preprocessing"]
    texts = {path.name: path.read_text() for path in whole.iterdir() if path.suffix in (".json", ".md")}
    assert set(texts) == {"config.json", "README.md", "modules.json", "config_sentence_transformers.json"}
    home = str(tiny.run.parents[2])
    assert [name for name, text in texts.items() if home in text or "/checkpoints" in text] == []
    assert re.findall(r'"/[\w./-]+"', "".join(texts.values())) == []


def test_the_command_says_what_it_made_and_how_to_load_it(tiny, tmp_path, capsys):
    run_command("export", [f"model={tiny.run}", f"out={tmp_path / 'mine'}"])
    said = " ".join(capsys.readouterr().out.split())
    assert re.search(rf'exported mine: \d\.\d MB in .*mine; load it with fusemix.load\("{tmp_path}/mine"\)', said)
    assert sorted(p.name for p in (tmp_path / "mine").iterdir()) == [
        "README.md",
        "config.json",
        "encoders",
        "hubs.safetensors",
        "model.safetensors",
    ]


def test_encoder_folders_of_one_name_lie_beside_one_another(tiny, tmp_path):
    other = shutil.copytree(tiny.recipes["bert"]["options"]["model"], tmp_path / "other" / "vit")
    (other / ".git").mkdir()
    (other / ".git" / "big").write_text("x")
    run = shutil.copytree(tiny.run, tmp_path / "run")
    checkpoint = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)
    checkpoint["hyper_parameters"]["fusemix"]["encoders"]["text"][0]["encoder"]["model"] = "vit"
    torch.save(checkpoint, run / "checkpoints" / "best.ckpt")
    moved = f"encoders={{bert: {{name: transformers_text, options: {{model: '{other}'}}}}}}"
    out = run_command("export", [f"model={run}", f"out={tmp_path / 'out'}", moved])
    inside = {
        m: [one["inside"] for one in of] for m, of in json.loads((out / "config.json").read_text())["encoders"].items()
    }
    assert inside["image"] == [{}, {"model": "encoders/vit"}]
    assert inside["text"] == [{"model": "encoders/2/vit"}]
    assert not list(out.rglob(".git"))
    assert fusemix.load(out, device="cpu").embedder.embed("text", ["a red bar"]).shape == (1, 16)


# What is in the way


def test_nothing_is_left_where_writing_breaks_off(tmp_path):
    with pytest.raises(RuntimeError, match="power cut"), replacing(tmp_path / "out", EXPORT) as folder:
        (folder / "config.json").write_text("{}")
        raise RuntimeError("power cut")
    assert list(tmp_path.iterdir()) == []


def test_an_export_is_replaced_only_where_that_is_meant_and_anything_else_never(tiny, copied, tmp_path):
    arguments = [f"model={tiny.run}", f"out={copied}"]
    with pytest.raises(RunError, match=r"copied holds an exported model. Choose another out, or .* overwrite=true"):
        run_command("export", arguments)
    assert (copied / "onnx").is_dir()
    run_command("export", [*arguments, "overwrite=true"])
    assert not (copied / "onnx").exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["copied"]
    with pytest.raises(RunError, match=r"run holds something that is no exported model. Choose another out"):
        run_command("export", [f"model={tiny.run}", f"out={tiny.run}", "overwrite=true"])


def test_an_export_is_not_exported_again(whole, tmp_path):
    with pytest.raises(RunError, match=r"tiny is an exported model already: copy it as it is"):
        run_command("export", [f"model={whole}", f"out={tmp_path / 'out'}"])


def test_what_is_wrong_is_said_before_anything_is_written(tiny, tmp_path):
    out = f"out={tmp_path / 'out'}"
    with pytest.raises(ConfigError, match=r"push_to is 'mine', but must be organisation/model"):
        run_command("export", [f"model={tiny.run}", out, "push_to=mine"])
    moved = "encoders={bert: {name: transformers_text, options: {model: /nowhere/bert}}}"
    with pytest.raises(
        RunError, match=r"text, encoder 1 \(bert\) is built from /nowhere/bert, which is not there. Say"
    ):
        run_command("export", [f"model={tiny.run}", out, moved])
    with pytest.raises(RunError, match=r"encoders.image: .*run was trained on no latents of that name"):
        run_command("export", [f"model={tiny.run}", out, "encoders={image: {name: hog}}"])
    assert list(tmp_path.iterdir()) == []


def test_an_encoder_that_is_not_the_one_trained_with_is_refused(tiny, tmp_path):
    bert = tiny.recipes["bert"]["options"]["model"]
    other = f"encoders={{bert: {{name: transformers_text, options: {{model: '{bert}', pooling: cls}}}}}}"
    wanted = r"text: what builds encoder 1 now is not .*\n  encoder 1.encoder.pooling: on disk 'mean', now 'cls'\nSay"
    with pytest.raises(RunError, match=wanted):
        run_command("export", [f"model={tiny.run}", f"out={tmp_path / 'out'}", other])
    assert list(tmp_path.iterdir()) == []


# Encoders that cannot be built unasked


def test_a_run_on_imported_latents_travels_and_says_what_it_lacks(make_set, tmp_path, capsys):
    run = train_on_made_up_latents(make_set, tmp_path / "run", "closed_form.share=0.3")
    out = run_command("export", [f"model={run}", f"out={tmp_path / 'out'}"])
    said = " ".join(capsys.readouterr().out.split())
    assert "nothing says what builds the encoder of eyes: who loads the model must give it by hand" in said
    assert "Nothing says what builds the encoders of image and text" in (out / "README.md").read_text()
    latents = torch.randn(3, 12)
    found, wanted = open_trained(out).model, open_trained(run).model
    assert torch.equal(found.embed("image", latents), wanted.embed("image", latents))
    with pytest.raises(RunError, match=r"encoder 1: nothing says what builds it. Its latents say: family words"):
        fusemix.load(out, device="cpu").embedder.embed("text", ["a"])


def test_a_factory_of_ones_own_is_named_and_only_run_where_it_is_given_by_hand(make_set, tmp_path, monkeypatch):
    (tmp_path / "my_colour.py").write_text(COLOUR)
    monkeypatch.syspath_prepend(tmp_path)
    run = train_on_made_up_latents(make_set, tmp_path / "run")
    named = "encoders={eyes: {name: 'my_colour:colour', options: {folder: %s}}}"
    with pytest.raises(RunError, match=r"image, encoder 1 \(eyes\) has the option folder=/a/b, a path of this machine"):
        run_command("export", [f"model={run}", f"out={tmp_path / 'out'}", named % "/a/b"])
    out = run_command("export", [f"model={run}", f"out={tmp_path / 'out'}", named % "here"])
    card = (out / "README.md").read_text()
    assert "\npip install my_colour\n" in card
    assert "    'eyes': {'name': 'my_colour:colour', 'options': {'folder': 'here'}},\n" in card
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "of another machine"))
    unasked = fusemix.load(out, device="cpu")
    message = (
        r"(?s)the model names my_colour:colour, which runs code that is not fusemix's own. .*'my_colour:colour', 'opt"
    )
    with pytest.raises(RunError, match=message):
        unasked.embedder.encoders("image")


def test_an_adapter_of_ones_own_stays_at_home(make_set, tmp_path):
    run = train_on_made_up_latents(make_set, tmp_path / "run", "adapter.name=fusemix.fusion.adapters.linear:Linear")
    with pytest.raises(RunError, match=r"linear:Linear is not one of fusemix's own, .* carries no code"):
        run_command("export", [f"model={run}", f"out={tmp_path / 'out'}"])


# Damage


def test_changed_weights_are_refused(copied):
    file = copied / "model.safetensors"
    weights = load_file(file)
    weights["log_logit_scale"] += 1
    save_file(weights, file)
    with pytest.raises(RunError, match=r"model.safetensors is damaged, or of another export .*its hash differs. Fetch"):
        fusemix.load(copied)
    file.unlink()
    with pytest.raises(RunError, match=r"copied is an exported model without model.safetensors"):
        fusemix.load(copied)


def test_weights_that_do_not_fit_config_json_are_refused(copied):
    about = json.loads((copied / "config.json").read_text())
    about["record"]["config"]["embedding_dim"] = 4
    change(copied, record=about["record"])
    with pytest.raises(RunError, match=r"does not hold the adapters that config.json describes: Error"):
        fusemix.load(copied)


def test_a_config_json_of_another_version_or_damaged_is_refused(copied):
    record = json.loads((copied / "config.json").read_text())["record"]
    change(copied, record=record | {"version": 9})
    with pytest.raises(RunError, match=r"describes a run of version 9, and this fusemix reads version 2"):
        fusemix.load(copied)
    change(copied, record={})
    with pytest.raises(RunError, match=r"config.json is damaged: it has no whole record. Fetch"):
        fusemix.load(copied)
    change(copied, version=7)
    with pytest.raises(RunError, match=r"is of version 7, and this fusemix reads version 1. Install the fusemix that"):
        fusemix.load(copied)
    (copied / "config.json").write_text("{")
    with pytest.raises(RunError, match=r"config.json is not JSON"):
        fusemix.load(copied)


def test_an_export_whose_adapter_names_code_is_refused(copied):
    record = json.loads((copied / "config.json").read_text())["record"]
    record["config"]["adapter"]["name"] = "os:system"
    change(copied, record=record)
    with pytest.raises(RunError, match=r"the adapter os:system is not one of fusemix's own"):
        fusemix.load(copied)


def test_an_encoder_outside_the_folder_or_missing_from_it_is_refused(copied):
    encoders = json.loads((copied / "config.json").read_text())["encoders"]
    for inside, wanted in [("../bert", "points outside the folder, to ../bert"), ("encoders/no", "lacks encoders/no,")]:
        encoders["text"][0]["inside"] = {"model": inside}
        change(copied, encoders=encoders)
        with pytest.raises(RunError, match=wanted):
            fusemix.load(copied)


def test_what_is_neither_run_nor_export_is_named(tiny, tmp_path):
    with pytest.raises(
        RunError, match=r"is neither a run nor an exported model: a run has checkpoints/, and an export"
    ):
        fusemix.load(tmp_path)
    with pytest.raises(RunError, match=r"there is no folder /nowhere/at/all. Give the folder of a run .* on the hub"):
        fusemix.load("/nowhere/at/all")
    with pytest.raises(RunError, match=r"bert/config.json does not tell of an exported model of fusemix"):
        fusemix.load(tiny.recipes["bert"]["options"]["model"])
    with pytest.raises(RunError, match=r"revision=main is for models on the hub, and .*run is a folder. Leave it out"):
        fusemix.load(tiny.run, revision="main")
