"""Text models of sentence-transformers, pooled as their own modules say.

Place in the flow: captions -> one vector.
"""

import hashlib
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from sentence_transformers import SentenceTransformer
from torch import Tensor

from fusemix.encoders.facts import code_sha256, inner_configs
from fusemix.encoders.loading import explained, freeze, model_name, package_versions, plain, torch_dtype, weights_sha256
from fusemix.encoders.looked_over import look_over
from fusemix.encoders.pooling import own_memory
from fusemix.encoders.trial import first_latents
from fusemix.parts.kinds import Location


def sentence_transformers(
    *,
    model: Location,
    revision: str | None = None,
    prefix: str = "",
    max_length: int | None = None,
    dtype: str = "float32",
    trust_remote_code: bool = False,
) -> "SentenceTransformersText":
    """Load a sentence-transformers model.

    Args:
        model: hub name or local folder.
        revision: commit, tag or branch on the hub.
        prefix: put before every text.
        max_length: tokens; longer texts are cut. By default what the model says.
        dtype: float32, bfloat16 or float16; auto is bfloat16 on GPUs that multiply it in hardware, else float32.
        trust_remote_code: run code that the model's repository brings.

    Raises:
        EncoderError: the model cannot be loaded.
    """
    wanted = torch_dtype(dtype)
    with explained(model, revision) as folder:
        if not trust_remote_code:
            look_over(folder, revision)
        network = SentenceTransformer(
            folder,
            revision=revision,
            device="cpu",
            trust_remote_code=trust_remote_code,
            model_kwargs={"dtype": wanted},
        )
    if max_length:
        network.max_seq_length = max_length
    return SentenceTransformersText(network, model, revision, prefix, dtype)


class SentenceTransformersText:
    """Texts -> latents; see `sentence_transformers`."""

    modality = "text"
    sample_rate = None

    def __init__(self, network: SentenceTransformer, model: str, revision: str | None, prefix: str, dtype: str) -> None:
        freeze(network)
        self._network, self._prefix = network, prefix
        self.dim = first_latents(self, "width", model).shape[1]
        self.fingerprint: dict[str, Any] = {
            "family": "sentence_transformers",
            "model": model_name(model),
            "revision": revision or "local",
            "weights_sha256": weights_sha256(network),
            "prefix": prefix,
            "prompt": network.prompts[network.default_prompt_name] if network.default_prompt_name else None,
            "dtype": dtype,
            "preprocessing": {"modules": [_settings(module) for module in network]},
            "max_length": network.max_seq_length,
            "config": inner_configs(network),
            **code_sha256(network),
            "packages": package_versions("sentence-transformers", "transformers", "tokenizers", "torch"),
        }

    def to(self, device: str) -> "SentenceTransformersText":
        """Move the model."""
        self._network.to(device)
        return self

    def prepare(self, contents: Sequence[str]) -> list[str]:
        """The texts with their prefix; the model tokenizes a batch at a time."""
        return [self._prefix + text for text in contents]

    def length(self, prepared: str) -> int:
        """Number of characters."""
        return len(prepared)

    def collate(self, prepared: Sequence[str]) -> list[str]:
        """As they are: the model pads what it has tokenized."""
        return list(prepared)

    def encode(self, batch: list[str]) -> Float[Tensor, "batch dim"]:
        """Run all modules, the model's pooling included."""
        encoded = self._network.encode(
            batch,
            batch_size=len(batch),
            show_progress_bar=False,
            convert_to_tensor=True,
            device=str(self._network.device),
        )
        with torch.inference_mode():
            return own_memory(encoded.float())


def _settings(module: Any) -> dict[str, Any]:
    """What a module does beside its weights: how a pooling pools, how a tokenizer cuts words."""
    settings = module.get_config_dict() if hasattr(module, "get_config_dict") else {}
    backend = getattr(getattr(module, "tokenizer", None), "backend_tokenizer", None)
    words = {"tokenizer_sha256": hashlib.sha256(backend.to_str().encode()).hexdigest()} if backend else {}
    return {"type": type(module).__name__, **plain(settings), **words}
