"""What cannot be drawn is one message, before any weights are read where that is possible; and nothing is written."""

import json
import pickle
import shutil
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch
from commands import generate

from fusemix.cli import run as cli
from fusemix.cli.called import run_command
from fusemix.cli.loading import load_config
from fusemix.config import GenerateConfig
from fusemix.errors import ConfigError, FusemixError, QueryError, RunError
from fusemix.fusion.model import FusionModel
from fusemix.models.fixed_space import Lengths, as_latents, measured
from fusemix.models.trained import open_trained
from fusemix.wiring.generating.sources import space_of

TEXT, ROOT = "text=a red bar", Path(__file__).parents[2]


def configs_of(drawing, folder, unet=None, **index):
    """A pipeline without weights, some of whose configs are others."""
    for name, changes in (("model_index.json", index), ("unet/config.json", unet or {})):
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(json.dumps({**json.loads((drawing.kandinsky / name).read_text()), **changes}))
    return folder


def refused(kind, match, drawing, tmp_path, *given, **changes):
    with pytest.raises(kind, match=match) as found:
        generate(drawing, tmp_path / "out", *(given or (TEXT,)), **changes)
    assert not (tmp_path / "out").exists()
    assert "\n" not in str(found.value)


@pytest.mark.parametrize(
    ("index", "unet", "match"),
    [
        (
            {"_class_name": "KandinskyV22PriorPipeline"},
            {},
            r"is a KandinskyV22PriorPipeline, which draws from no",
        ),
        (
            {"_class_name": ["own_pipeline", "Own"]},
            {},
            r"is a \['own_pipeline', 'Own'\], which draws from no",
        ),
        (
            {"movq": ["own_code", "Movq"]},
            {},
            r"is not opened: its movq is of 'own_code', .* diffusers",
        ),
        ({}, {"addition_embed_type": "text_image"}, r"takes no image embedding: its unet is not that of Kandinsky 2.2"),
        ({}, {"encoder_hid_dim": 1280}, r"draws from embeddings of 1280 numbers, and .*run has 32: its image latents"),
    ],
)
def test_a_pipeline_that_takes_no_such_embedding_is_told_by_its_configs(drawing, tmp_path, index, unet, match):
    pipeline = configs_of(drawing, tmp_path / "pipeline", unet, **index)
    with pytest.raises(FusemixError, match=match):
        run(drawing, tmp_path, pipeline)
    assert not (tmp_path / "out").exists()


def run(drawing, tmp_path, pipeline, *more):
    how = [f"model={drawing.run}", f"pipeline={pipeline}", "compute=cpu", "steps=1", "num=1", "height=32", "width=32"]
    return run_command("generate", [TEXT, *how, f"out={tmp_path / 'out'}", *more])


def test_what_is_no_pipeline_is_refused(drawing, tmp_path):
    with pytest.raises(ConfigError, match=r"there is no folder \S+nowhere. Give a folder, or organisation/model"):
        run(drawing, tmp_path, tmp_path / "nowhere")
    with pytest.raises(ConfigError, match=r"on the hub some/pipeline/model_index.json is not available: .*HF_HUB_OFF"):
        run(drawing, tmp_path, "some/pipeline")
    with pytest.raises(ConfigError, match=r"is no pipeline of diffusers: it has no model_index.json"):
        run(drawing, tmp_path, tmp_path)
    with pytest.raises(ConfigError, match=r"revision=main is for pipelines on the hub"):
        run(drawing, tmp_path, drawing.kandinsky, "revision=main")
    folder = configs_of(drawing, tmp_path / "pipeline")
    (folder / "unet/config.json").write_text("{")
    with pytest.raises(ConfigError, match=r"is damaged: unet/config.json cannot be read"):
        run(drawing, tmp_path, folder)
    assert not (tmp_path / "out").exists()


class Trap:
    """Runs code where it is unpacked."""

    def __reduce__(self):
        return exec, ("raise AssertionError('unpacked')",)


def test_weights_that_may_hold_code_are_not_read(drawing, tmp_path):
    folder = shutil.copytree(drawing.kandinsky, tmp_path / "pipeline")
    (folder / "unet/diffusion_pytorch_model.safetensors").unlink()
    (folder / "unet/diffusion_pytorch_model.bin").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(ConfigError, match=r"pipeline cannot be loaded \(\w+: .*safetensors"):
        run(drawing, tmp_path, folder)
    assert not list(tmp_path.glob("out/*.png"))


def test_an_ip_adapter_must_be_there_and_fit(drawing, tmp_path):
    cases = [
        ({"ip_adapter": "null"}, ConfigError, r"stable is a StableDiffusionPipeline, which takes an embedding through"),
        ({"ip_adapter_weights": "plain.bin"}, ConfigError, r"must be a .safetensors file: others may hold code"),
        (
            {"ip_adapter_weights": "none.safetensors"},
            ConfigError,
            r"adapters has no file none.safetensors. Name it",
        ),
        ({"ip_adapter_weights": "plus.safetensors"}, ConfigError, r"plus.safetensors takes no single embedding of a"),
        ({"ip_adapter_weights": "xl.safetensors"}, ConfigError, r"is not made for stable: it gives .* 32 .* takes 16"),
        ({"ip_adapter_weights": "wide.safetensors"}, RunError, r"wide.safetensors draws from embeddings of 64 numbers"),
        ({"ip_adapter": "some/adapter"}, ConfigError, r"on the hub some/adapter/plain.safetensors is not available"),
    ]
    for changes, kind, match in cases:
        refused(kind, match, drawing, tmp_path, pipeline="stable", **changes)
    (tmp_path / "broken.safetensors").write_bytes(b"no weights")
    broken = {"ip_adapter": tmp_path, "ip_adapter_weights": "broken.safetensors"}
    refused(ConfigError, r"broken.safetensors cannot be read", drawing, tmp_path, pipeline="stable", **broken)
    refused(ConfigError, "kandinsky takes an embedding by itself", drawing, tmp_path, ip_adapter=drawing.adapters)


def test_what_is_drawn_from_must_be_read(drawing, tiny, tmp_path):
    (tmp_path / "noise.wav").write_text("no sound")
    for name, match in (
        ("none.wav", r"nothing can be drawn from \S+none.wav: .*No such file"),
        ("noise.wav", r"nothing can be drawn from \S+noise.wav: \(decode\): "),
    ):
        refused(QueryError, match, drawing, tmp_path, f"audio={tmp_path / name}")
    refused(QueryError, "the queries cancel out", drawing, tmp_path, '"a red bar" - "a red bar"')


def test_prompts_are_for_pipelines_that_take_them(drawing, tmp_path):
    match = "kandinsky draws from an embedding alone: leave out prompt and negative_prompt"
    refused(ConfigError, match, drawing, tmp_path, prompt="rain")


def test_a_run_that_leaves_no_space_as_it_is_draws_nothing(drawing, tiny, tmp_path):
    match = r"run brings all modalities into a space of its own, which no pipeline draws from. Train with the"
    refused(RunError, match, drawing, tmp_path, model=tiny.run)


def space_with(drawing, length=None, steps=(), encoders=1, lengths=True, share=False):
    trained = open_trained(drawing.run)
    record = json.loads(json.dumps({**trained.record, "dims": {**trained.record["dims"], "image": [32] * encoders}}))
    record["config"]["preprocess"] = list(steps)
    if not lengths:
        del record["ended"]["lengths"]
    model = trained.model
    if share:
        model = FusionModel(dims={"image": [4]}, embedding_dim=4, adapters={"image": ("identity", {})}, closed_form=0.5)
    return space_of(trained._replace(record=record, model=model), length)


def test_a_run_whose_latents_do_not_come_back_draws_nothing(drawing):
    with pytest.raises(RunError, match="does not say how long latents of image are: an earlier fusemix has trained it"):
        space_with(drawing, lengths=False)
    with pytest.raises(RunError, match=r"give length=… where preprocess is empty"):
        space_with(drawing, 3.0, steps=["standardise"], lengths=False)
    with pytest.raises(RunError, match="several encoders of image to one length each, which cannot be undone"):
        space_with(drawing, steps=["l2"], encoders=2)
    with pytest.raises(RunError, match="has a closed form beside its adapters"):
        space_with(drawing, share=True)
    assert space_with(drawing, 3.0, lengths=False).length == 3.0
    assert space_with(drawing).length == space_with(drawing).lengths.mean


@pytest.mark.parametrize("steps", [[], ["l2"], ["standardise"], ["l2", "whiten"]])
def test_a_latent_comes_back_from_its_embedding_in_its_direction_and_at_the_mean_length(steps):
    latents = torch.randn(400, 6, generator=torch.Generator().manual_seed(0)) * torch.tensor([1, 2, 1, 3, 1, 1]) + 2
    latents = torch.nn.functional.normalize(latents, dim=1) * 5
    model = FusionModel(dims={"image": [6]}, embedding_dim=6, adapters={"image": ("identity", {})}, preprocess=steps)
    model.fit_preprocessing("image", lambda: [latents])
    found = measured(model.eval(), "image", latents.split(100))
    assert found[:3] == pytest.approx((5, 5, 5), rel=1e-5)
    with torch.no_grad():
        prepared = model.prepare("image", latents)
        unit = model.embed("image", latents).numpy()
    exact = [Lengths(5, 5, 5, float(row.norm())) for row in prepared[:9]]
    back = np.concatenate([as_latents(model, "image", unit[row : row + 1], exact[row], 5.0) for row in range(9)])
    np.testing.assert_allclose(back, latents[:9], atol=2e-3)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ([], "nothing to draw from. Write: fusemix generate --audio rain.wav"),
        ([TEXT, "height=30"], "height is 30, but must be a multiple of 8"),
        ([TEXT, "num=0"], "num is 0, but must lie between 1"),
        ([TEXT, "guidance=-1"], "guidance is -1"),
        ([TEXT, "steps=0"], "steps is 0"),
        ([TEXT, "precision=16"], "precision is .16., but must be one of auto, float16, bfloat16, float32"),
        ([TEXT, "length=0"], "length is 0"),
        ([TEXT, "run=r"], "`run` is called `model` now: model=FOLDER."),
    ],
)
def test_settings_are_checked_before_anything_is_read(changes, match):
    with pytest.raises(ConfigError, match=match):
        load_config(GenerateConfig, ["model=m", "pipeline=p", "out=o", *changes])


def test_the_package_that_is_missing_is_named(drawing, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "diffusers", None)
    where = ["--model", str(drawing.run), "--pipeline", "p", "--out", str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", ["fusemix", "generate", "rain", *where])
    with pytest.raises(SystemExit, match="2"):
        cli.run()
    said = capsys.readouterr().err
    assert said.startswith("fusemix: drawing pictures needs the package diffusers. Install it with: pip install")
    assert said.count("\n") == 1
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert extras["generate"] == ["diffusers>=0.42,<0.43"]


def test_a_grey_picture_needs_an_encoder_of_pictures(drawing, tmp_path):
    run_folder = shutil.copytree(drawing.run, tmp_path / "run")
    about = json.loads((run_folder / "encoders.json").read_text())
    about["image"][0]["source"] = None
    (run_folder / "encoders.json").write_text(json.dumps(about))
    match = "unconditional=grey needs the encoder of pictures, which the model does not know. Give zeros"
    refused(ConfigError, match, drawing, tmp_path, model=run_folder, unconditional="grey")
    generate(drawing, tmp_path / "auto", TEXT, model=run_folder, num=1)
    settings = json.loads((tmp_path / "auto/generated.json").read_text())["settings"]
    assert settings["unconditional"] == "zeros"
