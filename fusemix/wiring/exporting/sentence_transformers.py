"""What makes an exported folder a model of sentence-transformers as well, checked to give the same vectors.

Place in the flow: exported folder -> modules.json beside config.json -> SentenceTransformer(folder).
Not here: the module that it then loads (integrations/sentence_transformers.py).

The files lie in the folder itself, not in one below: so nothing is stored twice, and the model's name on the hub loads.
"""

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from fusemix.disk.files import write_json
from fusemix.errors import ConfigError, RunError
from fusemix.machine.environment import installed
from fusemix.models.embedder import Embedder
from fusemix.models.matching import names_of
from fusemix.models.recipes import code_of
from fusemix.models.trained import Trained
from fusemix.parts.extras import install, packages_of

MODULE = "fusemix.integrations.sentence_transformers.FusemixModule"
CAPTIONS = (
    "a dog leaping into water",
    "Two people on a bench.",
    "rain",
    "Ein Hund, der ins Wasser springt; 犬が水に飛び込む",
)
LEAST_COSINE = 0.9999


def require_possible(trained: Trained) -> None:
    """Refuse to begin where sentence-transformers could not encode texts with the model.

    Raises:
        ConfigError: the package is not installed.
        RunError: the model does not embed texts, or its text encoder cannot be built without being asked.
    """
    try:
        import_module("sentence_transformers")
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"sentence_transformers=true needs the package {error.name}. Install it with: "
            f"{install(packages_of('sentence-transformers'))}"
        ) from error
    why = ""
    if "text" not in trained.modalities:
        why = f"it embeds {' and '.join(trained.modalities)}, and no text"
    elif any(named.recipe is None for named in trained.recipes["text"]):
        name = names_of(trained)["text"][0]
        why = f"nothing says what builds its text encoder. Give it: encoders={{{name}: {{name: …, options: {{…}}}}}}"
    elif any(code_of(named.recipe) for named in trained.recipes["text"]):
        why = "its text encoder runs code that is not fusemix's own, which loading a model does not do unasked"
    if why:
        raise RunError(f"{trained.folder} cannot be a model of sentence-transformers: {why}. Leave it out.")


def write_modules(folder: Path, embedder: Embedder) -> None:
    """Write the two files that sentence-transformers looks for, and compare what it then gives.

    Args:
        folder: of the export.
        embedder: of the export, on the CPU.

    Raises:
        RunError: it gives other vectors.
    """
    write_json(folder / "modules.json", [{"idx": 0, "name": "0", "path": "", "type": MODULE}])
    about: dict[str, Any] = {
        "model_type": "SentenceTransformer",
        "__version__": {"sentence_transformers": installed("sentence-transformers")},
        "prompts": {},
        "default_prompt_name": None,
        "similarity_fn_name": "cosine",
    }
    write_json(folder / "config_sentence_transformers.json", about)
    check_modules(folder, embedder)


def check_modules(folder: Path, embedder: Embedder) -> None:
    """Compare the vectors of a few captions.

    Raises:
        RunError: they differ.
    """
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(folder), trust_remote_code=True, device="cpu")
    found = np.asarray(model.encode(list(CAPTIONS), show_progress_bar=False))
    cosines = (found * embedder.embed("text", CAPTIONS)).sum(axis=1)
    if not cosines.min() >= LEAST_COSINE:
        raise RunError(
            f"sentence-transformers gives other vectors than fusemix: the cosine of one caption is "
            f"{cosines.min():.5f}, where {LEAST_COSINE} is the least. Leave out sentence_transformers=true, and "
            "report it."
        )
