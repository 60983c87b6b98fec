"""What is said while long work runs: lines, rates and times for people, and when there is no terminal to draw on."""

import io
from types import SimpleNamespace

import pytest

from fusemix import progress
from fusemix.progress import LineTimes, counting, rate_text, time_text, wrapped

LONG = (
    "  small: 60 in 1.3 s, 46.8/s (in the same process: read 0.1 s, decode 0.1 s; encoder: encode 0.5 s, waited 0.5 s)"
)


@pytest.mark.parametrize("width", [30, 40, 80, 200])
def test_lines_break_between_words_alone_and_lose_nothing(width):
    lines = wrapped(LONG, width).split("\n")
    assert all(len(line) <= width for line in lines)
    assert " ".join(" ".join(lines).split()) == " ".join(LONG.split())
    assert all(line.startswith("  ") for line in lines), "what a line goes on with stands as far in"


def test_a_word_that_is_too_long_stays_whole_so_that_a_path_can_be_copied():
    path = "/a" * 60
    assert path in wrapped(f"report: {path} (open it in a browser)", 80).split("\n")


def test_the_console_breaks_lines_for_a_terminal_and_leaves_a_log_as_it_is():
    for is_terminal in (True, False):
        made = progress._Console(
            file=io.StringIO(), width=80, force_terminal=is_terminal, soft_wrap=True, highlight=False, markup=False
        )
        made.print(LONG)
        lines = made.file.getvalue().rstrip("\n").split("\n")
        assert (len(lines) > 1) == is_terminal
        assert not is_terminal or max(map(len, lines)) <= 80


def test_rates_and_times_are_as_people_read_them():
    assert rate_text(27.31, "step") == "27.3 steps/s"
    assert rate_text(0.3, "epoch") == "3.3 s/epoch"
    assert rate_text(0.25) == "4.0 s each"
    assert rate_text(None) == ""
    assert [time_text(seconds) for seconds in (0, 59.9, 99, 3600, 7205, None)] == [
        "0:00",
        "0:59",
        "1:39",
        "1:00:00",
        "2:00:05",
        "-:--",
    ]


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass when they are told to; for progress alone, since servers of other tests go by the real ones."""
    now = SimpleNamespace(seconds=100.0)
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: now.seconds))
    return now


def test_without_a_terminal_the_first_line_comes_within_seconds_and_then_they_are_rarer(clock):
    times, told = LineTimes(), []
    for second in range(1, 301):
        clock.seconds = 100.0 + second
        if times.is_due():
            told.append(second)
    assert told == [5, 15, 30, 60, 120, 180, 240, 300]


def test_a_line_says_which_time_is_over_and_which_is_left(clock, capsys):
    with counting("items", 1000) as advance:
        clock.seconds += 1
        advance(100)  # was there before
        clock.seconds += 9
        advance(90)
    said = capsys.readouterr().out
    assert said == "  items: 190 of 1,000 (19%), 10.0/s, 0:10 elapsed, 1:21 left\n"
