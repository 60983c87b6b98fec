"""What the text, image and audio models of transformers share.

Place in the flow: a model name -> a frozen network; its outputs -> the states that are pooled.
"""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModel
from transformers.utils import logging

from fusemix.encoders.facts import code_sha256, model_config
from fusemix.encoders.loading import explained, model_name, package_versions, plain, torch_dtype, weights_sha256
from fusemix.encoders.pooling import own_memory
from fusemix.errors import EncoderError


def load_network(model: str, *, revision: str | None, dtype: str, trust_remote_code: bool) -> Any:
    """Load a network in a stated dtype; transformers would take the checkpoint's own.

    Weights that the checkpoint lacks, which transformers would make up, become NaN: whatever a latent
    does not need stays unseen (a pooler under pooling=mean), and `width` refuses the rest.

    Raises:
        EncoderError: it cannot be loaded.
    """
    wanted = torch_dtype(dtype)
    logging.disable_progress_bar()  # for downloads the hub shows its own
    with explained(model, revision) as folder:
        network, report = AutoModel.from_pretrained(
            folder, revision=revision, dtype=wanted, trust_remote_code=trust_remote_code, output_loading_info=True
        )
    for name, parameter in network.named_parameters():
        if name in report["missing_keys"]:
            parameter.data.fill_(torch.nan)
    return network


def width(trial: Tensor, network: nn.Module) -> int:
    """How wide the latents are, from those of a trial item.

    Raises:
        EncoderError: they rest on weights that the checkpoint lacks.
    """
    if trial.isnan().any():
        lacking = [name for name, parameter in network.named_parameters() if parameter.isnan().all()]
        if lacking:
            raise EncoderError(
                f"the checkpoint lacks weights that are needed here: {', '.join(lacking[:5])}. "
                "Use another pooling, or a checkpoint made for this kind of model."
            )
    return trial.shape[1]


def fingerprint(
    network: Any,
    tower: nn.Module,
    *,
    model: str,
    dtype: str,
    preprocessing: dict[str, Any],
    rules: dict[str, int],
    **settings: Any,
) -> dict[str, Any]:
    """Everything that changes the numbers, as plain data.

    Args:
        network: as loaded.
        tower: the part that is used.
        model: as the user wrote it.
        dtype: that it computes in.
        preprocessing: settings of the processor or tokenizer.
        rules: numbers of our own code that is used: name -> the `RULES` beside it.
        **settings: of the encoder.
    """
    return {
        "family": "transformers",
        "model": model_name(model),
        "revision": getattr(network.config, "_commit_hash", None) or "local",
        "weights_sha256": weights_sha256(tower),
        "dtype": dtype,
        "attention": getattr(network.config, "_attn_implementation", None),
        "preprocessing": plain(preprocessing),
        "config": model_config(getattr(tower, "config", network.config)),
        "rules": rules,
        "packages": package_versions("transformers", "tokenizers", "torch", "torchvision", "pillow"),
        **code_sha256(network),
        **settings,
    }


def narrowed(inputs: dict[str, Tensor], dtype: torch.dtype) -> dict[str, Tensor]:
    """Inputs with real-valued ones as `run` makes them on the device; done before, half as much is handed over."""
    return {key: value.to(dtype) if value.is_floating_point() else value for key, value in inputs.items()}


def run(tower: Any, inputs: dict[str, Tensor], layer: int | None) -> Any:
    """Run a tower on inputs moved to its device; real-valued ones take its dtype, sizes and masks stay whole."""
    parameter = next(tower.parameters())
    moved = {
        key: value.to(parameter.device, parameter.dtype if value.is_floating_point() else None, non_blocking=True)
        for key, value in inputs.items()
    }
    with torch.inference_mode():
        return tower(**moved, output_hidden_states=layer is not None)


def chosen_layer(outputs: Any, layer: int | None) -> Tensor:
    """Final states, or those of one layer.

    Raises:
        EncoderError: there is no such layer, or there are no states.
    """
    if layer is None:
        if (last := getattr(outputs, "last_hidden_state", None)) is None:
            raise EncoderError("this model gives no states that could be pooled. Use pooling=pooler, or another model.")
        return last
    states = getattr(outputs, "hidden_states", None)
    if states is None or not -len(states) <= layer < len(states):
        known = f"from 0 to {len(states) - 1}" if states else "none: this model does not give them"
        raise EncoderError(f"layer is {layer}, but this model's layers are {known}.")
    return states[layer]


def pooler_output(outputs: Any, layer: int | None) -> Tensor:
    """What the model pools itself, in float32.

    Raises:
        EncoderError: it does not, or a layer was chosen besides.
    """
    pooled = getattr(outputs, "pooler_output", None)
    if pooled is None or layer is not None:
        reason = "this model has no pooled output" if pooled is None else "it belongs to the last layer alone"
        raise EncoderError(f"pooling=pooler: {reason}. Use pooling=mean or pooling=cls.")
    return own_memory(pooled.flatten(1).float())
