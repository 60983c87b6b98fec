"""What a repository of sentence-transformers says of its model: how it pools, cuts and prompts.

Place in the flow: a hub name or folder -> Stated -> settings of `transformers_text` that the user left open.
Not here: models whose repository has no such files; they say nothing.

Files, as sentence-transformers writes them: modules.json, 1_Pooling/config.json, sentence_bert_config.json,
config_sentence_transformers.json.
"""

import json
import warnings
from pathlib import Path
from typing import Any, NamedTuple

from transformers.utils.hub import cached_file

from fusemix.errors import EncoderError

POOLING_NAMES = {("cls",): "cls", ("mean",): "mean", ("lasttoken",): "last_token", ("cls", "mean"): "cls+mean"}
"""Their names -> ours; what they have besides, `transformers_text` does not do."""
SWITCHES = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_lasttoken": "lasttoken",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
}
"""How releases before the sixth wrote it."""
DONE_HERE = ("Transformer", "Pooling", "Normalize")
"""Modules that a latent takes from here; it is not normalised, which training and evaluation do themselves."""
INSTEAD = "The encoder sentence_transformers runs a repository unchanged."


class Stated(NamedTuple):
    """What the repository says; None or empty where it says nothing.

    Attributes:
        pooling: in the repository's words, several where they are concatenated.
        max_length: tokens, the special ones counted.
        prompt: put before every text.
        prompts: others, by name, of which the user would have to choose.
        left_out: what the repository does besides, and `transformers_text` does not.
    """

    pooling: tuple[str, ...] = ()
    max_length: int | None = None
    prompt: str = ""
    prompts: tuple[tuple[str, str], ...] = ()
    left_out: tuple[str, ...] = ()


class Settings(NamedTuple):
    """How texts are pooled, prefixed and, where anybody says so, cut."""

    pooling: str
    prefix: str
    max_length: int | None


def read_stated(folder: str, revision: str | None) -> Stated:
    """Read what a repository says.

    Args:
        folder: hub name or local folder.
        revision: on the hub.

    Raises:
        ValueError: a file is no JSON.
    """

    def read(name: str) -> Any:
        path = cached_file(
            folder,
            name,
            revision=revision,
            _raise_exceptions_for_missing_entries=False,
            _raise_exceptions_for_gated_repo=False,
            _raise_exceptions_for_connection_errors=False,
        )
        return json.loads(Path(path).read_text(encoding="utf-8")) if path else None

    modules = {str(one.get("type", "")).rpartition(".")[2]: one.get("path", "") for one in read("modules.json") or []}
    if modules and "Pooling" not in modules:  # it works on words alone, or embeds in another way
        return Stated(left_out=(f"the modules {', '.join(modules)}",))
    pooling = read(f"{modules.get('Pooling') or '1_Pooling'}/config.json") or {}
    cutting, prompting = read("sentence_bert_config.json") or {}, read("config_sentence_transformers.json") or {}
    prompts = {str(name): str(text) for name, text in (prompting.get("prompts") or {}).items() if text}
    prompt = prompts.get(prompting.get("default_prompt_name") or "", "")
    left_out = [f"the module {name}" for name in modules if name not in DONE_HERE]
    left_out += ["lower case before the tokenizer"] * bool(cutting.get("do_lower_case"))
    left_out += ["prompts are not pooled"] * (pooling.get("include_prompt") is False and bool(prompts))
    return Stated(_modes(pooling), cutting.get("max_seq_length"), prompt, tuple(prompts.items()), tuple(left_out))


def _modes(pooling: dict[str, Any]) -> tuple[str, ...]:
    mode = pooling.get("pooling_mode")
    if mode:
        return (mode,) if isinstance(mode, str) else tuple(mode)
    return tuple(name for switch, name in SWITCHES.items() if pooling.get(switch))


def settled(
    model: str, stated: Stated, *, pooling: str | None, prefix: str | None, max_length: int | None, otherwise: str
) -> Settings:
    """The user's settings, the repository's where the user left them open; a contradiction is said as a warning.

    Args:
        model: for messages.
        stated: by its repository.
        pooling: the user's, or None.
        prefix: the user's, or None.
        max_length: the user's, or None.
        otherwise: pooling where nobody says anything.

    Raises:
        EncoderError: the repository pools in a way that is not known here, and the user chose no other.
    """
    theirs = POOLING_NAMES.get(stated.pooling)
    if pooling is None and stated.pooling and theirs is None:
        raise EncoderError(
            f"the model {model!r} pools by {' and '.join(stated.pooling)}, which transformers_text does not do. "
            f"{INSTEAD} Or set pooling yourself."
        )
    notes = [f"it also has {one}, which is left out here. {INSTEAD}" for one in stated.left_out]
    if pooling is not None and stated.pooling and pooling != theirs:
        notes.append(f"it pools by {' and '.join(stated.pooling)}, not by {pooling}.")
    if max_length is not None and stated.max_length and max_length > stated.max_length:
        notes.append(f"it is made for texts of {stated.max_length} tokens, and max_length is {max_length}.")
    if prefix is not None and stated.prompt and prefix != stated.prompt:
        notes.append(f"it puts {stated.prompt!r} before every text, and prefix is {prefix!r}.")
    if prefix is None and stated.prompts and not stated.prompt:
        named = "; ".join(f"{name}: {text!r}" for name, text in stated.prompts)
        notes.append(f"it has prompts ({named}), of which none is used. Set prefix to one, or to '' for none.")
    for note in notes:
        warnings.warn(f"the repository of {model!r} says otherwise: {note}", stacklevel=2)
    return Settings(
        pooling or theirs or otherwise,
        stated.prompt if prefix is None else prefix,
        stated.max_length if max_length is None else max_length,
    )
