"""`fusemix serve` as it is called: in a process of its own."""

import json
import re
import signal
import subprocess
import sys
from urllib.request import Request, urlopen

from fusemix.web.page import counted, examples
from fusemix.web.server import bound

COMMAND = [sys.executable, "-m", "fusemix", "serve", "--compute.accelerator", "cpu"]


def test_it_says_where_it_is_when_it_is_ready_and_ends_quietly(indexed):
    command = [*COMMAND, "--index", str(indexed), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
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


def test_a_port_in_use_ends_it_before_models_are_loaded(indexed):
    with bound("127.0.0.1", 0) as taken:
        taken.listen()
        port = taken.getsockname()[1]
        command = [*COMMAND, "--index", "nowhere", "--port", str(port)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
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
