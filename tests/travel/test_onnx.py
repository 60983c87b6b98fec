"""Every adapter runs in onnxruntime and gives torch's embeddings."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from fusemix.cli.called import run_command
from fusemix.errors import ConfigError, RunError
from fusemix.fusion.adapters import ADAPTERS, KEEP_WIDTH
from fusemix.fusion.model import FusionModel
from fusemix.models.trained import open_trained
from fusemix.wiring.exporting.onnx import check_onnx, require_packages, run_onnx, write_onnx

pytest.importorskip("onnxruntime")
SMALL = {"bottleneck": {"hidden_dim": 16}, "residual_mlp": {"num_blocks": 2}}


def model_of(names: dict[str, str], preprocess: list[str], closed_form: float) -> FusionModel:
    torch.manual_seed(0)
    model = FusionModel(
        dims={modality: [7, 5] for modality in names},
        embedding_dim=12 if set(names.values()) <= set(KEEP_WIDTH) else 6,
        adapters={modality: (name, SMALL.get(name, {})) for modality, name in names.items()},
        preprocess=preprocess,
        closed_form=closed_form,
    ).eval()
    for modality in names:
        latents = 3 + torch.randn(50, 12) * torch.arange(1, 13)
        model.fit_preprocessing(modality, lambda latents=latents: [latents])
    for name, parameter in model.named_parameters():
        if name.endswith("gate"):
            torch.nn.init.constant_(parameter, 0.5)  # a shut gate would hide the residual
    return model


class SideBySide(FusionModel):
    """All adapters of a model see the same latents, and their embeddings stand beside one another in one file."""

    def embed(self, modality, latents):
        return torch.cat([super(SideBySide, self).embed(name, latents) for name in self.dims], dim=1)


@pytest.mark.parametrize("keeps_width", [True, False])
def test_every_adapter_with_all_preprocessing_and_a_closed_form_runs_at_any_batch_size(keeps_width, tmp_path):
    names = [name for name in ADAPTERS.names() if (name in KEEP_WIDTH) == keeps_width]
    model = model_of({name: name for name in names}, ["l2", "standardise", "whiten"], 0.3)
    model.__class__ = SideBySide
    path = write_onnx(tmp_path, model, names[0])
    assert path == tmp_path / "onnx" / f"{names[0]}.onnx"
    for rows in (1, 2, 33):
        latents = np.random.default_rng(rows).standard_normal((rows, 12)).astype(np.float32)
        found = np.split(run_onnx(path, latents), len(names), axis=1)
        for name, part in zip(names, found, strict=True):
            wanted = FusionModel.embed(model, name, torch.from_numpy(latents)).detach().numpy()
            np.testing.assert_allclose(part, wanted, atol=1e-5, err_msg=name)
            np.testing.assert_allclose(np.linalg.norm(part, axis=1), 1, atol=1e-5, err_msg=name)
            assert part.shape == (rows, 24 if keeps_width else 12)


def test_an_export_holds_a_file_a_modality_that_runs_alone(tiny, whole):
    assert sorted(path.name for path in (whole / "onnx").iterdir()) == ["audio.onnx", "image.onnx", "text.onnx"]
    model = open_trained(tiny.run).model
    latents = np.random.default_rng(0).standard_normal((3, sum(model.dims["image"]))).astype(np.float32)
    wanted = model.embed("image", torch.from_numpy(latents)).detach().numpy()
    np.testing.assert_allclose(run_onnx(whole / "onnx" / "image.onnx", latents), wanted, atol=1e-5)


def test_a_file_says_of_itself_what_it_takes_and_gives(whole):
    import onnx

    model = onnx.load(whole / "onnx" / "image.onnx")
    said = {one.key: one.value for one in model.metadata_props}
    assert model.producer_name == "fusemix"
    assert (said["model"], said["modality"], said["license"]) == ("tiny", "image", "apache-2.0")
    assert said["weights_sha256"] == json.loads((whole / "config.json").read_text())["weights_sha256"]
    hog, vit = json.loads(said["encoders"])
    assert (hog["model"], vit["model"], vit["pooling"], vit["latents"]) == ("hog", "vit", "mean", "32, float16")


def test_a_file_that_gives_other_embeddings_is_refused(tmp_path):
    model = model_of({"image": "linear"}, [], 0.0)
    path = write_onnx(tmp_path, model, "image")
    torch.nn.init.normal_(model.adapters["image"].linear.weight)
    with pytest.raises(
        RunError, match=r"other image embeddings than torch for 1 latents: they are .* apart, where 1e-05"
    ):
        check_onnx(path, model, "image")


class Unknown(torch.nn.Module):
    """What no exporter can write: it reads its numbers in Python."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(()))

    def forward(self, latents):
        return latents * float(np.asarray(latents.tolist()).sum())


def test_an_adapter_that_torch_cannot_write_is_named(tmp_path):
    model = model_of({"image": "linear"}, [], 0.0)
    model.adapters["image"] = Unknown()
    with pytest.raises(RunError, match=r"the image adapter cannot be written as ONNX: .* Leave out onnx=true"):
        write_onnx(tmp_path, model, "image")


def test_a_missing_package_is_named_before_anything_is_written(tiny, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    wanted = r"needs the package onnxscript. Install it with: pip install 'onnx>=.*' 'onnxruntime>=.*' 'onnxscript>=.*'"
    with pytest.raises(ConfigError, match=wanted):
        require_packages()
    with pytest.raises(ConfigError, match=wanted):
        run_command("export", [f"model={tiny.run}", f"out={tmp_path / 'out'}", "onnx=true"])
    assert list(Path(tmp_path).iterdir()) == []
