"""What the tab key gives, asked of bash itself."""

import shutil
import subprocess

import pytest

from fusemix.cli import completion
from fusemix.cli.called import run_command
from fusemix.cli.table import COMMANDS
from fusemix.fusion.adapters import ADAPTERS


def completed(line: str, folder) -> list[str]:
    # A shell is needed to know what it makes of the script.
    script = f'''{completion.bash()}
COMP_LINE={line!r}; COMP_POINT=${{#COMP_LINE}}; COMP_WORDS=($COMP_LINE); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
[[ $COMP_LINE == *" " ]] && COMP_CWORD=$((COMP_CWORD + 1))
_fusemix; printf "%s\\n" "${{COMPREPLY[@]}}"'''
    done = subprocess.run(["bash", "-c", script], cwd=folder, capture_output=True, text=True, check=True)
    assert not done.stderr
    return [line for line in done.stdout.splitlines() if line]


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash here")
def test_commands_settings_and_parts_are_completed_and_files_left_to_the_shell(tmp_path):
    assert completed("fusemix ", tmp_path) == [f"{name} " for name in COMMANDS]
    assert completed("fusemix eval", tmp_path) == ["eval_retrieval ", "eval_zero_shot ", "eval_generation "]
    assert completed("fusemix train optim.l", tmp_path) == ["optim.lr="]
    assert completed("fusemix train x.yaml --emb", tmp_path) == ["--embedding-dim"]
    assert completed("fusemix train adapter=", tmp_path) == [f"{name} " for name in ADAPTERS.names()]
    assert completed("fusemix train compile=t", tmp_path) == ["true "]
    assert completed("fusemix cache-features encod", tmp_path) == ["encoders=", "encoders."]
    for named_by_readline in ("fusemix train sett", "fusemix train train=sett"):
        assert completed(named_by_readline, tmp_path) == []


def test_every_shell_has_a_script_that_names_everything(capsys):
    for shell in ("bash", "zsh", "fish"):
        run_command("completion", [shell])
        script = capsys.readouterr().out
        assert all(word in script for word in (*COMMANDS, *ADAPTERS.names(), "optim.lr=", "max_bad_fraction="))
