"""What to type next, at the end of a command: the same folders, as a line that can be copied.

Place in the flow: settings of a command that is done -> the next command.
"""

import shlex
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path

from fusemix.latents.description import SET
from fusemix.progress import console

IS_TYPED: ContextVar[bool] = ContextVar("is_typed", default=True)
"""Whether commands are typed; who calls them from Python has nothing to type, and results that show themselves."""

FITTED = ("optim.batch_size=auto", "optim.max_epochs=auto", "optim.validate_every=auto")


def tell(line: str | None) -> None:
    """Print what somebody who types commands is to know at the end of one."""
    if line and IS_TYPED.get():
        console.print(line)


def after_caching(out: str, modalities: Mapping[str, str]) -> str | None:
    """The training command on the sets of a folder; None until there is one to train on.

    Args:
        out: folder of the sets.
        modalities: of the encoders that were just cached.
    """
    train, held_out = Path(out) / "train", Path(out) / "validation"
    of: dict[str, list[str]] = {}
    for slug, modality in modalities.items():
        of.setdefault(modality, []).append(slug)
    if not (train / SET).is_file() or len(of) < 2:
        return None
    encoders = ", ".join(f"{modality}: [{', '.join(slugs)}]" for modality, slugs in of.items())
    chosen = [f"validation={held_out}"] if (held_out / SET).is_file() else []
    how = ["recipe=auto"] if len(of) == 2 else FITTED
    return _line("train", *how, f"train={train}", *chosen, f"encoders={{{encoders}}}", f"out=runs/{Path(out).name}")


def after_selecting(out: str, encoders: Mapping[str, Sequence[str]]) -> str:
    """The training command on a subset.

    Args:
        out: folder of the subset.
        encoders: modality -> latent stores.
    """
    of = ", ".join(f"{modality}: [{', '.join(names)}]" for modality, names in encoders.items())
    how = ["recipe=auto"] if all(len(names) == 1 for names in encoders.values()) else FITTED
    return _line("train", *how, f"train={out}", f"encoders={{{of}}}", f"out=runs/{Path(out).name}")


def after_training(out: str, sets: Sequence[Path]) -> str:
    """The command that evaluates a run: on the set `test` beside one that it was trained on, where there is one."""
    there = next((one.parent / "test" for one in sets if (one.parent / "test" / SET).is_file()), None)
    return _line(
        "eval_retrieval", f"model={out}", f"latents={there or 'A_SET_NOT_TRAINED_ON'}", f"out=reports/{Path(out).name}"
    )


def after_evaluating(model: str, latents: str) -> str:
    """The command that makes an index of what was evaluated, to be searched."""
    return _line("index", "--model", model, "--latents", latents, "--out", f"indexes/{Path(model).name}")


def _line(command: str, *arguments: str) -> str:
    return f"next: {shlex.join(['fusemix', command, *arguments])}"
