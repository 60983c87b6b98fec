"""What pictures are drawn by in tests: tiny pipelines of the real classes with random weights, and a run into them."""

from pathlib import Path
from typing import Any, NamedTuple

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DDPMScheduler,
    KandinskyV22Pipeline,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
    VQModel,
)
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from fusemix.cli.called import run_command

DIM, CROSS, SIDE = 32, 16, 32
"""Width of the tiny run's picture latents; of what attention takes; and of the pictures that are drawn, in pixels."""


class World(NamedTuple):
    """Where everything lies.

    Attributes:
        run: trained onto the latents of pictures, which stay as they are; over texts and sounds.
        kandinsky, stable, xl: pipelines.
        adapters: folder of IP-Adapters, `plain.safetensors`, `xl.safetensors`, `wide.safetensors`, `plus.safetensors`.
    """

    run: Path
    kandinsky: Path
    stable: Path
    xl: Path
    adapters: Path


def made_in(folder: Path) -> World:
    """What `make_world` has left there."""
    return World(*(folder / name for name in World._fields))


def make_world(folder: Path, tiny: Any) -> None:
    """Train, and save pipelines; some seconds."""
    run_command(
        "train",
        [
            f"train={tiny.latents / 'pictures' / 'all'}",
            f"also.sounds={{train: '{tiny.latents / 'sounds' / 'all'}'}}",
            "encoders={image: [vit], text: [bert], audio: [wavlm]}",
            *("embedding_dim=auto", "adapter=linear", "adapters.image=identity", "regression.weight=1"),
            *("mixup=none", "logger=[csv]", "compute=cpu", f"out={folder / 'run'}"),
            "optim={batch_size: 8, max_epochs: 1, warmup_steps: 1, lr: 0.01}",
        ],
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        kandinsky(folder / "kandinsky")
        with_prompt(folder / "stable", folder / "xl")
        ip_adapters(folder)


def kandinsky(folder: Path, dim: int = DIM) -> None:
    """The decoder, with a card that states a licence."""
    unet = UNet2DConditionModel(
        in_channels=4,
        out_channels=8,
        addition_embed_type="image",
        down_block_types=("ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"),
        up_block_types=("SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"),
        mid_block_type="UNetMidBlock2DSimpleCrossAttn",
        block_out_channels=(32, 64),
        layers_per_block=1,
        encoder_hid_dim=dim,
        encoder_hid_dim_type="image_proj",
        cross_attention_dim=CROSS,
        attention_head_dim=4,
        resnet_time_scale_shift="scale_shift",
    )
    movq = VQModel(
        block_out_channels=[32, 64],
        down_block_types=["DownEncoderBlock2D", "AttnDownEncoderBlock2D"],
        up_block_types=["AttnUpDecoderBlock2D", "UpDecoderBlock2D"],
        latent_channels=4,
        norm_num_groups=8,
        norm_type="spatial",
        num_vq_embeddings=12,
        vq_embed_dim=4,
    )
    KandinskyV22Pipeline(unet, DDPMScheduler(variance_type="learned_range"), movq).save_pretrained(folder)
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n")


def unet_of(**more: Any) -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=16,
        block_out_channels=(32, 64),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=8,
        norm_num_groups=8,
        **more,
    )


def with_prompt(stable: Path, xl: Path) -> None:
    """Stable Diffusion and SDXL."""
    letters = [*"abcdefghijklmnopqrstuvwxyz", *(f"{letter}</w>" for letter in "abcdefghijklmnopqrstuvwxyz")]
    vocabulary = {token: at for at, token in enumerate([*letters, "<|startoftext|>", "<|endoftext|>"])}
    tokenizer = CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=12)
    sizes: dict[str, Any] = {
        "vocab_size": len(vocabulary),
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "max_position_embeddings": 12,
        "bos_token_id": vocabulary["<|startoftext|>"],
        "eos_token_id": vocabulary["<|endoftext|>"],
    }
    vae = {
        "block_out_channels": (16, 32),
        "down_block_types": ("DownEncoderBlock2D",) * 2,
        "up_block_types": ("UpDecoderBlock2D",) * 2,
        "latent_channels": 4,
        "norm_num_groups": 8,
    }
    parts: dict[str, Any] = {
        "scheduler": DDIMScheduler(clip_sample=False, set_alpha_to_one=False, steps_offset=1),
        "tokenizer": tokenizer,
        "feature_extractor": None,
        "image_encoder": None,
    }
    StableDiffusionPipeline(
        vae=AutoencoderKL(**vae),
        text_encoder=CLIPTextModel(CLIPTextConfig(**sizes, hidden_size=CROSS)),
        unet=unet_of(cross_attention_dim=CROSS),
        safety_checker=None,
        requires_safety_checker=False,
        **parts,
    ).save_pretrained(stable)
    unet = {
        "cross_attention_dim": 2 * CROSS,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 8,
        "transformer_layers_per_block": 1,
        "projection_class_embeddings_input_dim": CROSS + 6 * 8,
    }
    StableDiffusionXLPipeline(
        vae=AutoencoderKL(**vae),
        text_encoder=CLIPTextModel(CLIPTextConfig(**sizes, hidden_size=CROSS)),
        text_encoder_2=CLIPTextModelWithProjection(CLIPTextConfig(**sizes, hidden_size=CROSS, projection_dim=CROSS)),
        tokenizer_2=tokenizer,
        unet=unet_of(**unet),
        **parts,
    ).save_pretrained(xl)


def ip_adapters(folder: Path) -> None:
    """Weights as the authors save them: numbered by layers of attention."""
    place = folder / "adapters"
    place.mkdir()
    for name, pipeline, dim in (("plain", "stable", DIM), ("wide", "stable", 2 * DIM), ("xl", "xl", DIM)):
        unet = UNet2DConditionModel.from_pretrained(folder / pipeline, subfolder="unet")
        cross = unet.config["cross_attention_dim"]
        weights = {
            "image_proj.proj.weight": torch.randn(4 * cross, dim),
            "image_proj.proj.bias": torch.randn(4 * cross),
            "image_proj.norm.weight": torch.ones(cross),
            "image_proj.norm.bias": torch.zeros(cross),
        }
        number = 1
        for layer, processor in unet.attn_processors.items():
            if layer.endswith("attn2.processor"):
                width = unet.get_submodule(layer.removesuffix(".processor")).to_k.out_features
                for part in ("k", "v"):
                    weights[f"ip_adapter.{number}.to_{part}_ip.weight"] = torch.randn(width, cross)
                number += 2
            assert processor is not None
        save_file(weights, place / f"{name}.safetensors")
    save_file({"image_proj.latents": torch.zeros(1, 4, 8)}, place / "plus.safetensors")
    (place / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
