"""What a model computes beside its weights, as plain data that can be compared field by field.

Place in the flow: a loaded network and its tokenizer -> parts of an encoder's fingerprint.
Not here: the hash of the weights (loading.py).
"""

import hashlib
import inspect
import sys
from collections.abc import Iterator
from typing import Any

from torch import nn

from fusemix.encoders.loading import plain

NAMES_ALONE = {
    *("_name_or_path", "name_or_path", "transformers_version", "_commit_hash", "architectures", "auto_map"),
    *("id2label", "label2id", "problem_type", "task_specific_params", "finetuning_task"),
    *("dtype", "torch_dtype", "_attn_implementation", "attn_implementation", "_attn_implementation_internal"),
    *("return_dict", "output_hidden_states", "output_attentions", "use_cache", "gradient_checkpointing"),
    *("training", "grad_checkpointing", "warnings_issued", "inplace"),
}
"""What says where a model is from or what it gives besides; the dtype and the attention are noted on their own."""

WAYS_TO_LOAD = ("is_local", "local_files_only", "trust_remote_code")
SHAPES = {
    *("in_features", "out_features", "in_channels", "out_channels", "normalized_shape"),
    *("num_embeddings", "embedding_dim", "num_features"),
}
"""What the shapes of the weights say, and so their hash."""


def model_config(config: Any) -> dict[str, Any]:
    """The config of a transformers model: activations, heads, positions, eps, … but for what changes no number.

    Args:
        config: with its library's defaults filled in.
    """
    return _without_names(plain(config.to_dict()))


def _without_names(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_names(item) for key, item in value.items() if key not in NAMES_ALONE}
    return [_without_names(item) for item in value] if isinstance(value, list) else value


def structure(network: nn.Module) -> dict[str, Any]:
    """What the modules of a network hold beside weights: class -> attribute -> its value in all modules of the class.

    Of tensors that are no weights the shape is noted and how much they mask: their last bits vary with the machine.

    Where modules of one class differ, the values stand in the order of the modules, repeats left out.
    """
    found: dict[str, dict[str, list[Any]]] = {}
    for module in network.modules():
        name = type(module).__name__
        if "Drop" in name:  # does nothing in evaluation
            continue
        attributes = found.setdefault(name, {})
        for key, value in _attributes(module):
            values = attributes.setdefault(key, [])
            if not values or values[-1] != value:
                values.append(value)
    return {
        name: {key: values[0] if len(values) == 1 else values for key, values in sorted(attributes.items())}
        for name, attributes in sorted(found.items())
    }


def inner_configs(network: nn.Module) -> list[dict[str, Any]]:
    """Configs of the models of transformers within a network."""
    configs = {id(c): c for m in network.modules() if hasattr(c := getattr(m, "config", None), "to_dict")}
    return [model_config(config) for config in configs.values()]


def _attributes(module: nn.Module) -> Iterator[tuple[str, Any]]:
    for key, value in vars(module).items():
        if key.startswith("_") or key in NAMES_ALONE or key in SHAPES or "drop" in key.lower():
            continue
        if callable(value):
            yield key, getattr(value, "__qualname__", None) or plain(value)
        elif isinstance(value, bool | int | float | str | list | tuple | None):
            yield key, plain(value)
    for key in sorted(module._non_persistent_buffers_set):  # such as a causal mask: not among the weights
        buffer = module._buffers[key]
        yield key, None if buffer is None else [*buffer.shape, int(buffer.isinf().sum())]


def code_sha256(network: nn.Module) -> dict[str, str]:
    """Hash of the code that a model's repository or folder brings; nothing for models of an installed library."""
    modules = {type(module).__module__ for module in network.modules()}
    brought = sorted(name for name in modules if name.startswith("transformers_modules"))
    if not brought:
        return {}
    sources = "\n".join(inspect.getsource(sys.modules[name]) for name in brought)
    return {"code_sha256": hashlib.sha256(sources.encode()).hexdigest()}


def tokenizer_settings(tokenizer: Any) -> dict[str, Any]:
    """Switches of a tokenizer written in Python, whose hash sees its vocabulary alone."""
    if getattr(tokenizer, "backend_tokenizer", None) is not None:
        return {}
    settings = getattr(tokenizer, "init_kwargs", {}).items()
    switches = {k: v for k, v in settings if isinstance(v, bool | int) and k not in WAYS_TO_LOAD}
    return {"class": type(tokenizer).__name__, **switches}


def tokenizer_sha256(tokenizer: Any) -> str:
    """Hash of a tokenizer: its vocabulary and, where a fast one, all its rules and special tokens."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    text = backend.to_str() if backend is not None else repr(sorted(tokenizer.get_vocab().items()))
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def open_clip_tokenizer(tokenizer: Any) -> dict[str, Any]:
    """What a tokenizer of open_clip does: its length, how it cleans a text, and its words."""
    inner = getattr(tokenizer, "tokenizer", None)
    words = [sorted(getattr(tokenizer, name, {}).items(), key=repr) for name in ("encoder", "bpe_ranks")]
    facts: dict[str, Any] = {
        "class": type(tokenizer).__name__,
        "words_sha256": tokenizer_sha256(inner)
        if inner is not None
        else hashlib.sha256(repr(words).encode()).hexdigest(),
    }
    for key, value in sorted(vars(tokenizer).items()):
        if callable(value) and hasattr(value, "__qualname__"):
            facts[key] = value.__qualname__
        elif isinstance(value, bool | int | float | str | None):
            facts[key] = value
    return facts
