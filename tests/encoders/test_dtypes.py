"""What `dtype: auto` comes to, where that is noted, and what is said where a set is gone on with elsewhere."""

from pathlib import Path

import pytest
import torch
import yaml

from fusemix.config import CacheConfig, ComputeConfig, PartConfig
from fusemix.encoders import ENCODERS, dtypes
from fusemix.encoders.dtypes import dtype_for
from fusemix.errors import LatentStoreError
from fusemix.latents.manifest import require_same_origin
from fusemix.models.matching import built_again
from fusemix.wiring.caching.cache import fabric_of, with_dtypes

CPU, OLD, NEW = torch.device("cpu"), torch.device("cuda", 0), torch.device("cuda", 1)
CONFIGS = Path(__file__).parents[2] / "configs/cache"


@pytest.fixture
def _hardware(monkeypatch):
    """A CPU and one of two GPUs multiply bfloat16."""
    monkeypatch.setattr(dtypes, "multiplies_bfloat16", lambda device: device != OLD)


@pytest.mark.usefixtures("_hardware")
@pytest.mark.parametrize(
    ("devices", "dtype"),
    [([CPU], "float32"), ([NEW], "bfloat16"), ([NEW, NEW], "bfloat16"), ([OLD, NEW], "float32"), ([OLD], "float32")],
    ids=["CPU", "GPU", "GPUs", "unlike GPUs", "old GPU"],
)
def test_auto_is_bfloat16_where_all_devices_are_gpus_that_multiply_it(devices, dtype):
    assert dtype_for(devices) == dtype


def test_the_fingerprint_says_what_auto_came_to_and_not_that_it_was_auto(model_folder):
    options = {"model": model_folder("bert"), "pooling": "mean"}
    chosen = ENCODERS.build("transformers_text", {**options, "dtype": "auto"}).fingerprint
    dtype = dtype_for([torch.device("cuda" if torch.cuda.is_available() else "cpu")])
    assert chosen == ENCODERS.build("transformers_text", {**options, "dtype": dtype}).fingerprint


def test_the_options_that_a_store_notes_say_what_auto_came_to_and_own_code_reads_the_word_itself():
    parts = {
        "bge": PartConfig(name="transformers_text", options={"model": "m", "dtype": "auto"}),
        "half": PartConfig(name="timm", options={"model": "m", "dtype": "bfloat16"}),
        "hog": PartConfig(name="hog"),
        "mine": PartConfig(name="mine:factory", options={"dtype": "auto"}),
    }
    config = CacheConfig(
        dataset=PartConfig(name="x"), splits=["a"], encoders=parts, out="o", compute=ComputeConfig(accelerator="cpu")
    )
    settled = with_dtypes(config, fabric_of(config)).encoders
    said = {slug: part.options.get("dtype") for slug, part in settled.items()}
    assert said == {"bge": "float32", "half": "bfloat16", "hog": None, "mine": "auto"}
    assert parts["bge"].options["dtype"] == "auto"


def test_an_encoder_that_is_given_again_with_auto_computes_as_its_latents_were_made(model_folder):
    options = {"model": model_folder("bert"), "pooling": "mean"}
    recorded = {"encoder": ENCODERS.build("transformers_text", {**options, "dtype": "bfloat16"}).fingerprint}
    assert built_again("transformers_text", {**options, "dtype": "auto"}, recorded).fingerprint == recorded["encoder"]


def test_who_goes_on_elsewhere_is_told_which_dtype_goes_on():
    before, now = ({"encoder": {"dtype": dtype}} for dtype in ("bfloat16", "float32"))
    with pytest.raises(LatentStoreError, match=r"(?s)encoder\.dtype.*on any device, set dtype=bfloat16 among the enc"):
        require_same_origin(Path("latents/a/text/bge"), before, now, ())
    with pytest.raises(LatentStoreError) as caught:
        require_same_origin(Path("latents/a/text/bge"), {"dim": 2}, {"dim": 3}, ())
    assert "dtype=" not in str(caught.value)


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_configs_take_what_the_device_is_fast_in(path):
    """But for the built-in data sets, whose figures are compared between machines."""
    parts = yaml.safe_load(path.read_text())["encoders"].values()
    expected = None if path.stem in ("glyphs", "spoken_glyphs") else "auto"
    assert {part.get("options", {}).get("dtype") for part in parts} == {expected}
