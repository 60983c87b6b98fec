"""An encoder is tried before any item: random latents, and those that hang on neighbours, are refused."""

import json
import shutil

import numpy as np
import pytest
import torch
from transformers import ViTImageProcessor, ViTMAEConfig, ViTMAEModel

from fusemix.encoders import ENCODERS
from fusemix.encoders.trial import refuse_unsteady, trial_contents
from fusemix.errors import EncoderError

SIZES = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 16}


class Lengths:
    """Texts -> three numbers; `change` acts on the latents of a batch."""

    modality, sample_rate, dim = "text", None, 3

    def __init__(self, change=lambda latents: latents, dtype="float32"):
        self.change, self.fingerprint = change, {"family": "lengths", "dtype": dtype}

    def to(self, device):
        return self

    def prepare(self, contents):
        return [float(len(text)) for text in contents]

    def length(self, prepared):
        return 1

    def collate(self, prepared):
        return torch.tensor(prepared)

    def encode(self, batch):
        return self.change(torch.stack([batch, batch.sqrt(), torch.ones_like(batch)], dim=1))


def dropped(latents):
    return torch.nn.functional.dropout(latents.repeat(1, 40), 0.3)


def test_vit_mae_masks_at_random_and_is_refused(tmp_path):
    ViTMAEModel(ViTMAEConfig(**SIZES, image_size=16, patch_size=4)).save_pretrained(tmp_path)
    ViTImageProcessor(size={"height": 16, "width": 16}).save_pretrained(tmp_path)
    message = (
        r"transformers_image with .*: the same item gives another latent each time .* masks, drops or crops at random"
    )
    with pytest.raises(EncoderError, match=message):
        ENCODERS.build("transformers_image", {"model": str(tmp_path), "pooling": "mean"})


def test_a_tokenizer_that_shortens_at_random_is_refused(model_folder, tmp_path):
    folder = tmp_path / "random"
    shutil.copytree(model_folder("open_clip"), folder)
    config = json.loads((folder / "open_clip_config.json").read_text())
    config["model_cfg"]["text_cfg"]["tokenizer_kwargs"] = {"reduction_mask": "random"}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    with pytest.raises(EncoderError, match="the same item gives another latent each time"):
        ENCODERS.build("open_clip_text", {"model": str(folder)})


def test_an_encoder_of_ones_own_is_tried_when_it_is_built(tmp_path, monkeypatch):
    (tmp_path / "random_colours.py").write_text(
        "import torch\n"
        "class Random:\n"
        "    modality, sample_rate, dim, fingerprint = 'image', None, 4, {}\n"
        "    def to(self, device): return self\n"
        "    def prepare(self, contents): return [1.0 for _ in contents]\n"
        "    def length(self, prepared): return 1\n"
        "    def collate(self, prepared): return torch.tensor(prepared)\n"
        "    def encode(self, batch): return torch.randn(len(batch), 4)\n"
        "def random(): return Random()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(EncoderError, match="encoder random_colours:random: the same item gives another latent each"):
        ENCODERS.build("random_colours:random", {})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dropped, "the same item gives another latent each time"),
        (lambda latents: latents + 0.01 * torch.randn_like(latents) * latents, "another latent each time"),
        (lambda latents: latents - latents.mean(dim=0), "an item gives another latent in a batch than alone"),
        (lambda latents: latents / len(latents), "sees its neighbours or their padding"),
        (lambda latents: latents * torch.arange(1, len(latents) + 1)[:, None], "in a batch than alone"),
    ],
)
def test_latents_that_are_not_the_items_alone_are_refused(change, message):
    with pytest.raises(EncoderError, match=message):
        refuse_unsteady(Lengths(change), "mine")


def test_rounding_is_let_pass_and_more_of_it_where_an_encoder_computes_in_half():
    def rounded(share):
        return lambda latents: latents * (1 + share * (len(latents) - 1))

    refuse_unsteady(Lengths(rounded(1e-4)), "mine")
    refuse_unsteady(Lengths(rounded(0.05), "bfloat16"), "mine")
    with pytest.raises(EncoderError, match=r"in a batch than alone \(5\.0% away\)"):
        refuse_unsteady(Lengths(rounded(0.05)), "mine")


def test_an_encoder_that_raises_or_gives_nan_is_judged_item_by_item_later():
    def fails(latents):
        raise ValueError("not this one")

    refuse_unsteady(Lengths(fails), "mine")
    refuse_unsteady(Lengths(lambda latents: latents * torch.nan), "mine")


def test_trial_items_are_a_short_and_a_long_one_of_a_known_modality():
    short, long = trial_contents("text", None)
    assert len(long) > 30 * len(short)
    short, long = trial_contents("audio", 8000)
    assert (len(short.samples), len(long.samples), short.sample_rate) == (4000, 12000, 8000)
    small, large = trial_contents("image", None)
    assert np.prod(large.size) > np.prod(small.size)
    assert trial_contents("touch", None) is None
