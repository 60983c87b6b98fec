"""Text models of Hugging Face transformers: BGE, E5, GTE, MiniLM, ModernBERT, Qwen3-Embedding and their like.

Place in the flow: captions -> tokens -> states -> one vector.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from transformers import AutoTokenizer

from fusemix.encoders.facts import tokenizer_settings, tokenizer_sha256
from fusemix.encoders.loading import explained, freeze
from fusemix.encoders.looked_over import look_over
from fusemix.encoders.pooling import RULES as POOLING_RULES
from fusemix.encoders.pooling import check_pooling, pool_tokens
from fusemix.encoders.transformers.repository import Settings, read_stated, settled
from fusemix.encoders.transformers.shared import chosen_layer, fingerprint, load_network, pooler_output, run, width
from fusemix.encoders.trial import first_latents, refuse_blind_first_token
from fusemix.errors import EncoderError
from fusemix.parts.kinds import Location

Tokens = dict[str, list[int]]


class TokenBatch(NamedTuple):
    """Padded tokens, and which of them are real."""

    inputs: dict[str, Tensor]
    is_real: Bool[Tensor, "batch length"]


RULES = 1
"""Number of the rules of this file; raised whenever it hands other tokens to a model or pools other states."""
FALLBACK_LENGTH = 512
FIXED_LENGTH = ("siglip", "siglip2")
"""Models trained on text that is padded to all their positions, and which see the padding."""


def transformers_text(
    *,
    model: Location,
    revision: str | None = None,
    pooling: str | None = None,
    layer: int | None = None,
    prefix: str | None = None,
    max_length: int | None = None,
    dtype: str = "float32",
    trust_remote_code: bool = False,
) -> "TransformersText":
    """Load a text model and its tokenizer.

    Args:
        model: hub name or local folder.
        revision: commit, tag or branch on the hub; what it resolved to is recorded.
        pooling: `mean` (E5, GTE, MiniLM), `cls` (BGE, GTE-ModernBERT), `last_token` (Qwen3-Embedding),
            `cls+mean`, or `pooler` (the model's own). By default what the repository says in the files of
            sentence-transformers, and `mean` where it says nothing.
        layer: index into the hidden states, where 0 is the input embedding; by default the model's
            final output. A chosen layer comes without the model's last norm.
        prefix: put before every text, such as `"passage: "` for E5. By default the repository's default prompt.
        max_length: tokens, the special ones counted; longer texts are cut. By default what the repository says,
            and at most what the model takes.
        dtype: float32, bfloat16 or float16; auto is bfloat16 on GPUs that multiply it in hardware, else float32.
        trust_remote_code: run code that the model's repository brings.

    Raises:
        EncoderError: the model cannot be loaded, or has no such pooling or layer.
    """
    if pooling is not None:
        check_pooling(pooling)
    with explained(model, revision) as folder:
        if not trust_remote_code:
            look_over(folder, revision)
        stated = read_stated(folder, revision)
        tokenizer = AutoTokenizer.from_pretrained(folder, revision=revision, trust_remote_code=trust_remote_code)
    network = load_network(model, revision=revision, dtype=dtype, trust_remote_code=trust_remote_code)
    chosen = settled(model, stated, pooling=pooling, prefix=prefix, max_length=max_length, otherwise="mean")
    if max_length is None and chosen.max_length:
        chosen = chosen._replace(max_length=min(chosen.max_length, most_tokens(network, tokenizer)))
    return TransformersText(network, tokenizer, model, chosen, layer, dtype)


class TransformersText:
    """Texts -> latents; see `transformers_text`."""

    modality = "text"
    sample_rate = None
    copied_ahead = True

    def __init__(
        self,
        network: Any,
        tokenizer: Any,
        model: str,
        chosen: Settings,
        layer: int | None,
        dtype: str,
    ) -> None:
        tower, model_type = text_tower(network), network.config.model_type
        self._tower = freeze(tower)
        self._tokenizer, self._pooling, self._layer, self._prefix = tokenizer, chosen.pooling, layer, chosen.prefix
        self._fixed_length = model_type in FIXED_LENGTH
        self._max_length = _checked_length(chosen.max_length, most_tokens(network, tokenizer), self._fixed_length)
        self._pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id or 0
        self._has_cls = begins_alike([row["input_ids"] for row in self.prepare(["a dog", "the dog"])], tokenizer)
        if "cls" in self._pooling and not self._has_cls:
            raise EncoderError(
                f"pooling={self._pooling}: this model has no class token. Use pooling=mean, or pooling=last_token "
                "where it reads from left to right."
            )
        self.dim = width(first_latents(self, "width", model), network)
        refuse_blind_first_token(self, self._pooling)
        self.fingerprint = fingerprint(
            network,
            tower,
            model=model,
            dtype=dtype,
            preprocessing={"tokenizer_sha256": tokenizer_sha256(tokenizer), "max_length": self._max_length},
            rules={"pooling": POOLING_RULES, "text": RULES},
            tokenizer=tokenizer_settings(tokenizer),
            pooling=self._pooling,
            layer=layer,
            prefix=self._prefix,
        )

    def to(self, device: str) -> "TransformersText":
        """Move the model."""
        self._tower.to(device)
        return self

    def prepare(self, contents: Sequence[str]) -> list[Tokens]:
        """Token ids and their companions, cut but not padded."""
        texts = [self._prefix + text for text in contents]
        settings = {"truncation": True, "max_length": self._max_length}
        if self._fixed_length:
            tokens = self._tokenizer(texts, padding="max_length", **settings)
        else:  # `collate` knows the mask from the lengths
            tokens = self._tokenizer(texts, return_attention_mask=False, **settings)
        return [{key: values[i] for key, values in tokens.items()} for i in range(len(texts))]

    def length(self, prepared: Tokens) -> int:
        """Number of tokens."""
        return len(prepared["input_ids"])

    def collate(self, prepared: Sequence[Tokens]) -> "TokenBatch":
        """Padded on the right."""
        inputs = {key: pad([row[key] for row in prepared], self._pad_value(key)) for key in prepared[0]}
        real = torch.tensor([len(row["input_ids"]) for row in prepared])
        mask = torch.arange(int(real.max()))[None] < real[:, None]
        if not self._fixed_length:
            inputs["attention_mask"] = mask.long()
        return TokenBatch(inputs, mask)

    def encode(self, batch: "TokenBatch") -> Float[Tensor, "batch dim"]:
        """Run and pool."""
        outputs = run(self._tower, batch.inputs, self._layer)
        if self._pooling == "pooler":
            return pooler_output(outputs, self._layer)
        states = chosen_layer(outputs, self._layer)
        mask = batch.is_real.to(states.device, non_blocking=True)
        return pool_tokens(states, mask, self._pooling, num_prefix=0, has_cls=self._has_cls)

    def _pad_value(self, key: str) -> int:
        return self._pad if key == "input_ids" else 0


def pad(rows: Sequence[list[int]], value: int) -> Tensor:
    """Rows of unequal length as one matrix, filled up on the right."""
    padded = np.full((len(rows), max(map(len, rows))), value, dtype=np.int64)
    for place, row in enumerate(rows):
        padded[place, : len(row)] = row
    return torch.from_numpy(padded)


def begins_alike(rows: Sequence[Sequence[int]], tokenizer: Any) -> bool:
    """Whether texts begin with one special token, as BERT's do; T5's and most decoders' begin with their first word."""
    return len({row[0] for row in rows}) == 1 and rows[0][0] in tokenizer.all_special_ids


def most_tokens(network: Any, tokenizer: Any) -> int:
    """How many tokens a model takes, of which some take no fewer either."""
    tower = text_tower(network)
    positions = num_positions(tower)
    is_fixed = positions and network.config.model_type in FIXED_LENGTH
    return positions if is_fixed else longest(tokenizer, positions)


def _checked_length(max_length: int | None, most: int, is_fixed: bool) -> int:
    if max_length is not None and is_fixed and max_length != most:
        raise EncoderError(f"max_length is {max_length}, but this model was trained on texts padded to {most} tokens.")
    if max_length is not None and not 1 <= max_length <= most:
        raise EncoderError(f"max_length is {max_length}, but this model takes from 1 to {most} tokens.")
    return max_length or most


def num_positions(tower: Any) -> int:
    """Positions that a text may take, or 0 where the model knows no limit.

    RoBERTa and its like count from behind the padding token's id, and so take a few tokens fewer: their embedding of
    positions leaves one out for padding.
    """
    positions = getattr(tower.config, "max_position_embeddings", None) or 0
    for name, module in tower.named_modules():
        after = getattr(module, "padding_idx", None)
        if "position" in name and after is not None and len(module.weight) == positions:
            return int(positions) - after - 1
    return max(int(positions), 0)


def longest(tokenizer: Any, positions: int) -> int:
    """How many tokens a model takes: the smaller of what its tokenizer and its positions say."""
    limits = (tokenizer.model_max_length, positions)
    sane = [limit for limit in limits if 0 < limit < 1_000_000]  # "no limit" is written as 1e30, 0 or -1
    return int(min(sane, default=FALLBACK_LENGTH))


def text_tower(network: Any) -> Any:
    """The text side of a model of two towers, the encoder of a translation model, or the model itself."""
    if hasattr(network, "text_model") and (hasattr(network, "vision_model") or hasattr(network, "audio_model")):
        return network.text_model
    return network.get_encoder() if getattr(network.config, "is_encoder_decoder", False) else network
