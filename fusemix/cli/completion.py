"""Print what completes commands, settings and names of parts in a shell.

    eval "$(fusemix completion bash)"       (in ~/.bashrc; zsh alike in ~/.zshrc)
    fusemix completion fish > ~/.config/fish/completions/fusemix.fish

What is printed holds all words, so that nothing is started when the tab key is pressed.
"""

import shlex
import sys
from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

from fusemix import config
from fusemix.cli.parts import parts_of
from fusemix.cli.table import COMMANDS
from fusemix.config import CompletionConfig
from fusemix.config.names import NAME, full_names
from fusemix.config.recipes import AUTO, recipes_of
from fusemix.config.shapes import is_part
from fusemix.config.typed import inner_kind, kind_at
from fusemix.parts.kinds import LISTS, members, settings_of

BASH = """\
# fusemix completion: commands, settings (name=value, --name) and names of parts; of anything else, files.
_fusemix() {{
    local line="${{COMP_LINE:0:COMP_POINT}}" words="" values="" command="${{COMP_WORDS[1]}}"
    local token="${{line##*[[:space:]]}}"
    COMPREPLY=()
    if [[ $COMP_CWORD -eq 1 ]]; then
        COMPREPLY=($(compgen -W "{commands}" -- "$token"))
        COMPREPLY=("${{COMPREPLY[@]/%/ }}")
        return
    fi
    case "${{command//-/_}}" in
{cases}
    esac
    if [[ $token == *=* ]]; then
        local name="${{token%%=*}}" value="${{token#*=}}" one
        for one in $values; do
            [[ $one == "$name="* ]] && COMPREPLY+=($(compgen -W "${{one#*=}}" -- "$value"))
        done
        COMPREPLY=("${{COMPREPLY[@]/%/ }}")
        # bash takes = for the end of a word, zsh does not
        [[ -n ${{ZSH_VERSION-}} ]] && COMPREPLY=("${{COMPREPLY[@]/#/$name=}}")
        return
    fi
    COMPREPLY=($(compgen -W "$words" -- "$token"))
}}
complete -o nospace -o default -F _fusemix fusemix
"""
ZSH = "autoload -U +X compinit && compinit\nautoload -U +X bashcompinit && bashcompinit\n"


def main(config: CompletionConfig) -> None:
    """Print the script of a shell."""
    (shell,) = config.shell
    sys.stdout.write(fish() if shell == "fish" else (ZSH if shell == "zsh" else "") + bash())


def words_of(schema: Any) -> list[str]:
    """What may be typed behind a command: recipes, `name=`, `--name`; before a name of one's own up to the dot."""
    names = dict.fromkeys(name.partition(f"{NAME}.")[0] for name in [*full_names(schema), *parts_of(schema)])
    options = [f"--{name.replace('_', '-')}" for name in names if "." not in name]
    return [*recipes_of(schema), *(name if name.endswith(".") else f"{name}=" for name in names), *options]


def values_of(schema: Any) -> Iterator[tuple[str, list[str]]]:
    """Setting -> what it may be, where that is a few words: names of parts and of recipes, true or false."""
    registries = parts_of(schema)
    for name in dict.fromkeys([*full_names(schema), *registries]):
        kind = kind_at(schema, name.split("."))
        if name in registries and is_part(settings_of(kind)):
            yield name, registries[name].names()
            yield f"{name}.name", registries[name].names()
        elif name in registries and is_part(settings_of(inner_kind(kind, LISTS))):
            yield name, registries[name].names()
        elif name == "recipe":
            yield name, [AUTO, *recipes_of(schema)]
        elif words := _words(kind):
            yield name, words


def _words(kind: Any) -> list[str]:
    if bool in members(kind):
        return ["true", "false"]
    return [str(word) for one in members(kind) if get_origin(one) is Literal for word in get_args(one)]


def bash() -> str:
    """The script of bash, which zsh takes, too."""
    cases = []
    for name, command in COMMANDS.items():
        schema = getattr(config, command.schema)
        values = [f"{key}={word}" for key, of in values_of(schema) for word in of]
        cases.append(f'        {name}) words="{" ".join(words_of(schema))}" values="{" ".join(values)}" ;;')
    return BASH.format(commands=" ".join(COMMANDS), cases="\n".join(cases))


def fish() -> str:
    """The script of fish."""
    lines = ["# fusemix completion: commands, settings and names of parts"]
    for name, command in COMMANDS.items():
        lines.append(f"complete -c fusemix -n __fish_use_subcommand -f -a {name} -d {shlex.quote(command.about)}")
        schema = getattr(config, command.schema)
        words = [*words_of(schema), *(f"{key}={word}" for key, of in values_of(schema) for word in of)]
        lines.append(f"complete -c fusemix -n '__fish_seen_subcommand_from {name}' -a {shlex.quote(' '.join(words))}")
    return "\n".join(lines) + "\n"
