"""Tiny models of the real classes with random weights, saved as their libraries save them."""

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import timm
from open_clip import create_model_and_transforms
from safetensors.torch import save_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
from tiny_tokenizers import save_bert_tokenizer, save_word_tokenizer
from transformers import (
    ASTConfig,
    ASTFeatureExtractor,
    ASTModel,
    BertConfig,
    BertForMaskedLM,
    BertModel,
    BitImageProcessor,
    ClapAudioConfig,
    ClapConfig,
    ClapFeatureExtractor,
    ClapModel,
    Dinov2Config,
    Dinov2Model,
    Dinov2WithRegistersConfig,
    Dinov2WithRegistersModel,
    DINOv3ConvNextConfig,
    DINOv3ConvNextModel,
    DINOv3ViTConfig,
    DINOv3ViTImageProcessor,
    DINOv3ViTModel,
    MobileNetV2Config,
    MobileNetV2ImageProcessor,
    MobileNetV2Model,
    PvtConfig,
    PvtModel,
    Qwen3Config,
    Qwen3Model,
    RobertaConfig,
    RobertaModel,
    SEWConfig,
    SEWModel,
    Siglip2Config,
    Siglip2ImageProcessor,
    Siglip2Model,
    SiglipConfig,
    SiglipImageProcessor,
    SiglipModel,
    SwinConfig,
    SwinModel,
    T5Config,
    T5Model,
    ViTConfig,
    ViTImageProcessor,
    ViTModel,
    Wav2Vec2FeatureExtractor,
    WavLMConfig,
    WavLMModel,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperModel,
    YolosConfig,
    YolosModel,
)
from transformers.utils import logging as transformers_logging

transformers_logging.set_verbosity_error()
transformers_logging.disable_progress_bar()
logging.getLogger("timm").setLevel(logging.ERROR)

SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "initializer_range": 0.2,  # with the usual 0.02 models this narrow hardly look at their input
}
SQUARE = {"size": {"height": 32, "width": 32}}


def bert_config() -> BertConfig:
    return BertConfig(**SIZES, vocab_size=60, max_position_embeddings=64)


def bert(folder: Path) -> None:
    save_bert_tokenizer(folder, model_max_length=48)
    BertModel(bert_config()).save_pretrained(folder)


def roberta(folder: Path) -> None:
    """32 positions, of which two lie at and before the padding; its tokenizer states no limit."""
    save_bert_tokenizer(folder)
    config = RobertaConfig(**SIZES, vocab_size=60, max_position_embeddings=32, pad_token_id=1)
    RobertaModel(config).save_pretrained(folder)


def bert_without_pooler(folder: Path) -> None:
    save_bert_tokenizer(folder)
    BertForMaskedLM(bert_config()).save_pretrained(folder)


def qwen3(folder: Path, *, begins: bool = False) -> None:
    names = ["input_ids", "attention_mask"]
    save_word_tokenizer(folder, end="<|endoftext|>", begins=begins, model_input_names=names)
    config = Qwen3Config(**SIZES, vocab_size=40, head_dim=16, num_key_value_heads=1, max_position_embeddings=128)
    Qwen3Model(config).save_pretrained(folder)


def qwen3_with_start(folder: Path) -> None:
    """Reads from left to right, and begins each text with one token, as Llama and Gemma do."""
    qwen3(folder, begins=True)


def t5(folder: Path) -> None:
    save_word_tokenizer(folder, end="</s>", model_input_names=["input_ids", "attention_mask"])
    config = T5Config(d_model=32, d_kv=16, d_ff=64, num_layers=2, num_heads=2, vocab_size=40, decoder_start_token_id=0)
    T5Model(config).save_pretrained(folder)


def siglip(folder: Path) -> None:
    save_word_tokenizer(folder, end="</s>", model_input_names=["input_ids"])
    text = {**SIZES, "vocab_size": 40, "max_position_embeddings": 64, "projection_size": 32}
    vision = {**SIZES, "image_size": 32, "patch_size": 8}
    SiglipModel(SiglipConfig(text_config=text, vision_config=vision)).save_pretrained(folder)
    SiglipImageProcessor(**SQUARE).save_pretrained(folder)


def siglip_16(folder: Path) -> None:
    """Of 16 positions, as so400m-patch14-224 is."""
    save_word_tokenizer(folder, end="</s>", model_input_names=["input_ids"])
    text = {**SIZES, "vocab_size": 40, "max_position_embeddings": 16, "projection_size": 32}
    vision = {**SIZES, "image_size": 32, "patch_size": 8}
    SiglipModel(SiglipConfig(text_config=text, vision_config=vision)).save_pretrained(folder)


def siglip2(folder: Path) -> None:
    text = {**SIZES, "vocab_size": 40, "max_position_embeddings": 64, "projection_size": 32}
    vision = {**SIZES, "num_patches": 16, "patch_size": 8}
    Siglip2Model(Siglip2Config(text_config=text, vision_config=vision)).save_pretrained(folder)
    Siglip2ImageProcessor(patch_size=8, max_num_patches=24).save_pretrained(folder)


def dinov2(folder: Path) -> None:
    Dinov2Model(Dinov2Config(**SIZES, image_size=28, patch_size=14)).save_pretrained(folder)
    size = {"size": {"shortest_edge": 48}, "crop_size": {"height": 42, "width": 42}}
    BitImageProcessor(**size).save_pretrained(folder)


def dinov2_registers(folder: Path) -> None:
    config = Dinov2WithRegistersConfig(**SIZES, image_size=28, patch_size=14, num_register_tokens=4)
    Dinov2WithRegistersModel(config).save_pretrained(folder)
    size = {"size": {"shortest_edge": 48}, "crop_size": {"height": 42, "width": 42}}
    BitImageProcessor(**size).save_pretrained(folder)


def dinov3(folder: Path) -> None:
    config = DINOv3ViTConfig(**SIZES, image_size=32, patch_size=8, num_register_tokens=4)
    DINOv3ViTModel(config).save_pretrained(folder)
    DINOv3ViTImageProcessor(**SQUARE).save_pretrained(folder)


def dinov3_convnext(folder: Path) -> None:
    config = DINOv3ConvNextConfig(hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 1, 1], image_size=64)
    DINOv3ConvNextModel(config).save_pretrained(folder)
    DINOv3ViTImageProcessor(size={"height": 64, "width": 64}).save_pretrained(folder)


def pvt(folder: Path) -> None:
    PvtModel(
        PvtConfig(image_size=64, hidden_sizes=[8, 16, 16, 16], depths=[1] * 4, num_attention_heads=[1] * 4)
    ).save_pretrained(folder)
    ViTImageProcessor(size={"height": 64, "width": 64}).save_pretrained(folder)


def yolos(folder: Path) -> None:
    YolosModel(YolosConfig(**SIZES, image_size=[32, 32], patch_size=8, num_detection_tokens=5)).save_pretrained(folder)
    ViTImageProcessor(**SQUARE).save_pretrained(folder)


def vit(folder: Path) -> None:
    ViTModel(ViTConfig(**SIZES, image_size=32, patch_size=8)).save_pretrained(folder)
    ViTImageProcessor(**SQUARE).save_pretrained(folder)


def swin(folder: Path) -> None:
    config = SwinConfig(image_size=32, patch_size=4, embed_dim=8, depths=[1, 1], num_heads=[1, 1], window_size=2)
    SwinModel(config).save_pretrained(folder)
    ViTImageProcessor(**SQUARE).save_pretrained(folder)


def mobilenet(folder: Path) -> None:
    config = MobileNetV2Config(depth_multiplier=0.1, min_depth=4, image_size=64, initializer_range=0.25)
    MobileNetV2Model(config).save_pretrained(folder)
    size = {"size": {"shortest_edge": 72}, "crop_size": {"height": 64, "width": 64}}
    MobileNetV2ImageProcessor(**size).save_pretrained(folder)


def whisper(folder: Path) -> None:
    heads = {"encoder_attention_heads": 2, "decoder_attention_heads": 2, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64}
    tokens = {"vocab_size": 40, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1}
    config = WhisperConfig(d_model=32, encoder_layers=2, decoder_layers=1, init_std=0.2, **heads, **tokens)
    WhisperModel(config).save_pretrained(folder)
    WhisperFeatureExtractor(feature_size=80).save_pretrained(folder)


def clap(folder: Path) -> None:
    audio = ClapAudioConfig(
        patch_embeds_hidden_size=16,
        hidden_size=128,
        depths=[1, 1, 1, 1],
        num_attention_heads=[2, 2, 2, 2],
        projection_dim=16,
    )
    text = {**SIZES, "num_hidden_layers": 1, "vocab_size": 40}
    ClapModel(ClapConfig(text_config=text, audio_config=audio.to_dict(), projection_dim=16)).save_pretrained(folder)
    ClapFeatureExtractor(truncation="rand_trunc").save_pretrained(folder)


def ast(folder: Path) -> None:
    ASTModel(ASTConfig(**SIZES, max_length=256, num_mel_bins=64)).save_pretrained(folder)
    ASTFeatureExtractor(max_length=256, num_mel_bins=64).save_pretrained(folder)


def wavlm(folder: Path) -> None:
    WavLMModel(WavLMConfig(**SIZES, conv_dim=[16] * 7)).save_pretrained(folder)
    Wav2Vec2FeatureExtractor().save_pretrained(folder)


def sew(folder: Path) -> None:
    """Hears, but is of a type that transformers_audio does not know."""
    SEWModel(SEWConfig(**SIZES, conv_dim=[8] * 13)).save_pretrained(folder)
    Wav2Vec2FeatureExtractor().save_pretrained(folder)


def open_clip(folder: Path) -> None:
    vision = {"image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 8}
    text = {"context_length": 16, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 2}
    config = {"model_cfg": {"embed_dim": 24, "vision_cfg": vision, "text_cfg": text}, "preprocess_cfg": {}}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    network, _, _ = create_model_and_transforms(f"local-dir:{folder}")
    save_file(network.state_dict(), folder / "open_clip_model.safetensors")


def save_timm(folder: Path, architecture: str, **options: Any) -> None:
    network = timm.create_model(architecture, **options)
    settings = {"input_size": [3, 32, 32], "fixed_input_size": "img_size" in options}
    settings["classifier"] = network.default_cfg["classifier"]
    config = {"architecture": architecture, "num_classes": 1000, "model_args": options, "pretrained_cfg": settings}
    (folder / "config.json").write_text(json.dumps(config))
    save_file(network.state_dict(), folder / "model.safetensors")


def timm_vit(folder: Path) -> None:
    sizes = {"img_size": 32, "patch_size": 8, "embed_dim": 32, "depth": 2, "num_heads": 2}
    save_timm(folder, "vit_tiny_patch16_224", **sizes, reg_tokens=4, global_pool="token")


def timm_swin(folder: Path) -> None:
    sizes = {"img_size": 32, "window_size": 2, "embed_dim": 8, "depths": [1, 1], "num_heads": [1, 1]}
    save_timm(folder, "swin_tiny_patch4_window7_224", **sizes)


def timm_resnet(folder: Path) -> None:
    save_timm(folder, "test_resnet")


def sentence(folder: Path) -> None:
    inner = folder / "inner"
    inner.mkdir()
    bert(inner)
    transformer = Transformer(str(inner))
    SentenceTransformer(modules=[transformer, Pooling(32, pooling_mode="mean")], device="cpu").save(str(folder))
    shutil.rmtree(inner)


BUILDERS = {
    build.__name__: build
    for build in (
        *(bert, bert_without_pooler, roberta, qwen3, qwen3_with_start, t5, sentence),
        *(siglip, siglip_16, siglip2, dinov2, dinov2_registers, dinov3, dinov3_convnext),
        *(vit, swin, mobilenet, pvt, yolos),
        *(whisper, clap, ast, wavlm, sew),
        *(open_clip, timm_vit, timm_swin, timm_resnet),
    )
}
