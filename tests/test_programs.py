"""Programs that are forked from one process behave as programs that were started."""

import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

SAY = """
import atexit, os, sys
atexit.register(print, "at the end")
print(__name__, sys.argv, os.getcwd(), os.environ.get("COLOUR"), "torch" in sys.modules or "torch")
print("to errors", file=sys.stderr)
"""
ENDS = {
    "pass": 0,
    "raise SystemExit(3)": 3,
    "raise SystemExit('a sentence')": 1,
    "1 / 0": 1,
    "raise KeyboardInterrupt": -signal.SIGINT,
    "import os; os._exit(5)": 5,
    "import os, signal; os.kill(os.getpid(), signal.SIGTERM)": -signal.SIGTERM,
    "import threading; threading.Timer(0.1, print, ['late']).start()": 0,
}


@pytest.fixture
def script(tmp_path):
    (tmp_path / "said.py").write_text(SAY)
    return tmp_path / "said.py"


def test_scripts_modules_and_code_see_the_arguments_folder_and_environment_that_they_were_given(programs, script):
    environment = {**os.environ, "COLOUR": "red"}
    for words in ([script, "a"], ["-m", "said", "a"], ["-c", SAY, "a"]):
        done = programs.run(*words, cwd=script.parent, env=environment)
        real = subprocess.run(
            [sys.executable, *map(str, words)], cwd=script.parent, env=environment, capture_output=True, text=True
        )
        assert (done.returncode, done.stderr) == (real.returncode, real.stderr) == (0, "to errors\n")
        assert done.stdout == real.stdout.replace(" torch\n", " True\n")


@pytest.mark.parametrize("code", ENDS)
def test_a_program_ends_as_if_it_had_been_started(programs, code):
    real = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    done = programs.run("-c", code)
    assert done.returncode == real.returncode == ENDS[code]
    assert done.stdout == real.stdout
    assert done.stderr.splitlines()[-1:] == real.stderr.splitlines()[-1:]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_program_and_the_next_one_starts(programs, number):
    code = "import time; print('here', flush=True); time.sleep(60)"
    program = programs.start("-c", code, stdout=subprocess.PIPE)
    assert program.stdout.readline() == "here\n"
    assert program.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        program.wait(0.05)
    program.send_signal(number)
    assert program.wait(30) == -number
    assert program.poll() == -number
    assert programs.run("-c", "print(1)").stdout == "1\n"


def test_what_takes_seconds_is_imported_already(programs):
    code = "import sys; print({'torch', 'lightning', 'transformers', 'fusemix'} <= set(sys.modules))"
    assert programs.run("-c", code).stdout == "True\n"


def test_programs_run_beside_one_another_and_are_each_a_process(programs, tmp_path):
    code = textwrap.dedent(f"""
        import os, pathlib, time
        folder = pathlib.Path({str(tmp_path)!r})
        (folder / str(os.getpid())).touch()
        while len(list(folder.iterdir())) < 3:
            time.sleep(0.01)
    """)
    started = time.monotonic()
    all_of_them = [programs.start("-c", code) for _ in range(3)]
    assert [program.wait(60) for program in all_of_them] == [0, 0, 0]
    assert {path.name for path in tmp_path.iterdir()} == {str(program.pid) for program in all_of_them}
    assert time.monotonic() - started < 60


def test_what_a_program_prints_goes_into_pipes_and_files_alike(programs, tmp_path):
    code = "import sys; sys.stdout.reconfigure(errors='replace'); sys.stderr.reconfigure(errors='strict'); print('é')"
    piped = programs.start("-c", code, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert piped.stdout.read() == "é\n"
    assert piped.wait(60) == 0
    with (tmp_path / "said").open("w") as file:
        assert programs.start("-c", code, stdout=file).wait(60) == 0
    assert (tmp_path / "said").read_text() == "é\n"
