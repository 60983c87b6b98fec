"""What an encoder computes in where that is left to the device: `dtype: auto`.

Place in the flow: options of an encoder -> the same with a dtype, before it is built, so that its fingerprint and
`source` say the one it came to.

On GPUs alone: there bfloat16 is several times as fast as float32. Of CPUs only some multiply it in hardware, and what a
latent is in must not hang on which one of a cluster read it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from fusemix.machine.environment import multiplies_bfloat16

AUTO = "auto"


def dtype_for(devices: Sequence[torch.device]) -> str:
    """`bfloat16` where all devices are GPUs that multiply it in hardware, and `float32` elsewhere."""
    return "bfloat16" if all(one.type == "cuda" and multiplies_bfloat16(one) for one in devices) else "float32"


def with_dtype(options: Mapping[str, Any], dtype: str) -> dict[str, Any]:
    """The same options, with a dtype in place of `auto`."""
    return {**options, "dtype": dtype} if options.get("dtype") == AUTO else dict(options)
