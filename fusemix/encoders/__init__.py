"""Frozen unimodal encoders. One file a family; each has a line in the table below.

Place in the flow: PairSet -> latents.
A factory is called as `factory(**options)` and returns something that meets `interfaces.Encoder`.
"""

from fusemix.registry import Registry

ENCODERS = Registry(
    "encoder",
    {
        "hog": "fusemix.encoders.hog:hog",
        "open_clip_image": "fusemix.encoders.open_clip:open_clip_image",
        "open_clip_text": "fusemix.encoders.open_clip:open_clip_text",
        "sentence_transformers": "fusemix.encoders.sentence_transformers:sentence_transformers",
        "timm": "fusemix.encoders.timm:timm",
        "transformers_audio": "fusemix.encoders.transformers.audio:transformers_audio",
        "transformers_image": "fusemix.encoders.transformers.image:transformers_image",
        "transformers_text": "fusemix.encoders.transformers.text:transformers_text",
    },
)
