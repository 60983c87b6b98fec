"""`fusemix serve` as it is called: in a process of its own."""

import json
import re
import signal
import subprocess
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from fusemix.cli.called import run_command
from fusemix.errors import ConfigError
from fusemix.web.page import counted, examples
from fusemix.web.server import bound

COMMAND = ["-m", "fusemix", "serve", "--compute.accelerator", "cpu"]


def test_it_says_where_it_is_when_it_is_ready_and_ends_quietly(indexed, programs):
    command = [*COMMAND, "--index", indexed, "--port", "0"]
    process = programs.start(*command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    with process.stdout:
        try:
            about, where = process.stdout.readline(), process.stdout.readline()
            assert about == f"searching 36 pictures, 24 sounds and 24 texts of {indexed}, by image, text, audio\n"
            found = re.fullmatch(r"(http://127\.0\.0\.1:\d+)  \(Ctrl-C stops it\)\n", where)
            assert found, where
            body = json.dumps({"text": "bar", "k": 3}).encode()
            request = Request(f"{found[1]}/api/search", body, {"Content-Type": "application/json"})
            with urlopen(request, timeout=30) as answer:
                assert len(json.load(answer)["results"]) == 3
                assert "server" not in answer.headers
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 0
            assert process.stdout.read() == "", "no access log, no traceback"
        finally:
            process.kill()


def test_for_others_it_makes_a_token_and_writes_on_each_request_where_that_is_wanted(indexed, programs, tmp_path):
    command = [*COMMAND, "--index", indexed, "--port", "0", "--host", "0.0.0.0", "--base-path", "/photos"]
    with (tmp_path / "log").open("w+") as log:
        process = programs.start(*command, "--access-log", stdout=subprocess.PIPE, stderr=log)
        try:
            said = "".join(process.stdout.readline() for _ in range(7))
            assert "AND HAS THE TOKEN can search this index" in said
            where = process.stdout.readline()
            found = re.fullmatch(r"(http://127\.0\.0\.1:\d+/photos/)\?token=(\S{32})  \(Ctrl-C stops it\)\n", where)
            assert found, where
            with pytest.raises(HTTPError, match="401"):
                urlopen(f"{found[1]}api/index", timeout=30)
            request = Request(f"{found[1]}api/index", headers={"Authorization": f"Bearer {found[2]}"})
            with urlopen(request, timeout=30) as answer:
                assert json.load(answer)["num_items"] == 84
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 0
            lines = [re.sub(r"[\d.]+ ms$", "T ms", line) for line in (tmp_path / "log").read_text().splitlines()]
            assert [line.partition(" ")[2] for line in lines] == [
                "127.0.0.1 GET /api/index 401 T ms",
                "127.0.0.1 GET /api/index 200 T ms",
            ]
        finally:
            process.kill()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--token", "short"], "token must be 8 to 200 letters, digits or signs of ASCII, without spaces."),
        (["--base-path", "photos"], "base_path is 'photos', but must be a path such as /photos"),
    ],
)
def test_what_cannot_be_set_ends_it_before_models_are_loaded(given, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        run_command("serve", ["--index", "nowhere", "--port", "0", *given])


def test_a_port_in_use_ends_it_before_models_are_loaded(programs):
    with bound("127.0.0.1", 0) as taken:
        taken.listen()
        port = taken.getsockname()[1]
        command = [*COMMAND, "--index", "nowhere", "--port", str(port)]
        done = programs.run(*command, timeout=60)
    assert done.returncode == 2
    assert done.stderr == (
        f"fusemix: port {port} is in use. Stop what listens there, or give another: --port 0 takes a free one.\n"
    )


def test_items_are_counted_in_words():
    assert counted({"image": 7000}) == "7,000 pictures"
    assert counted({"audio": 1, "image": 2}) == "1 sound and 2 pictures"
    assert counted({"audio": 1, "image": 2, "text": 1, "video": 3}) == "1 sound, 2 pictures, 1 text and 3 video items"


def test_examples_are_short_captions_each_once():
    captions = [["a dog . "], [], ["a dog ."], ["x" * 80], [" . "], *[[f"cat {number}"] for number in range(9)]]
    assert examples([{"captions": each} for each in captions]) == ["a dog", "cat 0", "cat 1", "cat 2", "cat 3"]
