"""Captions, ids, paths and reasons are printed as text: neither obeyed by a terminal nor read as markup."""

import json

import numpy as np
import pytest
from PIL import Image
from rich.table import Table
from rich.text import Text

from fusemix.cli.called import run_command
from fusemix.commands import search
from fusemix.models.places import Place
from fusemix.progress import console, counting, progress_bar
from fusemix.visible import shown, visible, visible_json
from fusemix.wiring.searching.searcher import Hit

NASTY = {
    "markup": "[/bold] a [red]dog[/] [link=x",
    "emoji": ":smile: a dog",
    "escape": "\x1b[2J\x1b]0;title\x07 a dog",
    "c1": "\x9b2J a dog \x85",
    "override": "\u202egod a\u2066",
    "return": "a dog\rfusemix: all fine",
    "separator": "a\u2028dog",
    "back": "a dog\x08\x08\x08cat",
}
OBEYED = set(
    map(
        chr,
        [*range(9), *range(11, 32), *range(127, 160), 0x2028, 0x2029, *range(0x202A, 0x202F), *range(0x2066, 0x206A)],
    )
)


def is_harmless(printed: str) -> bool:
    return not OBEYED & set(printed)


@pytest.mark.parametrize("text", NASTY.values(), ids=NASTY)
def test_the_console_prints_what_is_there_and_obeys_nothing_of_it(text, capsys):
    console.print(text)
    assert capsys.readouterr().out == f"{visible(text)}\n"
    table = Table("id", text, title=text)
    table.add_row(text, Text(text))
    for printed in (Text(text, "yellow"), table, Text(text)):
        console.print(printed, width=200)
    with progress_bar() as bar:
        bar.add_task(text, total=1, note=text)
    out = capsys.readouterr().out
    assert is_harmless(out)
    assert out.count(visible(text)) >= 3


def test_words_of_all_scripts_stay_as_they_are():
    for text in ("Ein Hund läuft", "犬が走る", "שלום\u200f 1", "كلب", "👩‍👩‍👧 a family", "a\tb\nc", "100 % [sic]"):
        assert visible(text) == text
    assert shown("a\nb\tc") == "a\\nb\\tc"
    assert shown("\x1b[2J\ud8ff") == "\\x1b[2J\\ud8ff"


@pytest.mark.parametrize("text", [*NASTY.values(), "a\nb", "\udcff"])
def test_json_is_the_same_with_nothing_in_it_to_be_obeyed(text):
    written = visible_json(json.dumps({"caption": text, text: [text]}, ensure_ascii=False, indent=2))
    assert is_harmless(written)
    assert json.loads(written) == {"caption": text, text: [text]}


@pytest.fixture
def settings(tmp_path):
    """A data set whose ids, captions and folder are nasty, two pictures of which are missing or broken."""
    folder = tmp_path / "pictures [/x] \x1b[2J"
    folder.mkdir(parents=True)
    lines = ["file\tcaption"]
    name, place = "", 0
    for place, (name, text) in enumerate(NASTY.items()):
        file = f"[/{name}] \x1b{place} :dog:.png"
        pixels = np.random.default_rng(place).integers(0, 256, (20, 30, 3), dtype=np.uint8)
        (folder / file).parent.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(folder / file)
        lines.append(f"{file}\t{text.translate({13: 32, 0x2028: 32, 0x85: 32})}")
    (folder / f"[/{name}] \x1b{place} :dog:.png").write_bytes(b"no picture")
    lines.append("[/gone] \x1b[2J.png\ta ghost")
    (tmp_path / "captions.tsv").write_text("\n".join(lines), encoding="utf-8", newline="")
    return [
        "dataset.name=image_captions",
        f"dataset.options.folder={folder}",
        f"dataset.options.captions={tmp_path / 'captions.tsv'}",
        "splits=[all]",
        "encoders.hog={name: hog, options: {size: 16, coarse: 0}}",
        "max_bad_fraction=0.5",
        "compute.accelerator=cpu",
        "num_workers=0",
        f"out={tmp_path / 'out [/y]'}",
    ]


def test_commands_print_nasty_ids_captions_and_folders_as_they_are(settings, tmp_path, capsys):
    run_command("check", settings)
    (folder,) = run_command("cache_features", settings)
    run_command("info", [str(folder)])
    out = capsys.readouterr().out
    assert is_harmless(out)
    assert ":smile:" in out
    assert "[/gone] \\x1b[2J.png: no such file" in out
    assert "[/bold] a [red]dog[/] [link=x" in out
    assert "out [/y]" in out


def test_what_a_search_found_stays_in_its_row(capsys):
    hits = [Hit(0, 0.5, "[/id]\n\x1b[2J", "image", "p", ["two\nlines\x1b[2J", "x"])]
    console.print(search.table(hits, [Place(None)], "text: \\n", {}), width=100)
    out = capsys.readouterr().out
    assert is_harmless(out)
    assert "[/id]\\n\\x1b[2J" in out
    assert "two\\nlines\\x1b[2J" in out


def test_a_refusal_and_an_output_without_unicode_are_no_traceback(tmp_path, programs):
    folder = tmp_path / "no [/x] \x1b[2J é\udcff"
    done = programs.run("-m", "fusemix", "info", folder, env={"PYTHONIOENCODING": "ascii", "PATH": ""})
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "no [/x] \\x1b[2J \\xe9\\udcff" in done.stderr


def test_labels_of_progress_in_a_log_are_text(capsys, monkeypatch):
    monkeypatch.setattr("fusemix.progress.LINES_AFTER_SEC", ())
    monkeypatch.setattr("fusemix.progress.LINE_EVERY_SEC", 0.0)
    with counting("reading [/x] \x1b[2J", 2) as advance:
        advance(1)
    assert "reading [/x] \\x1b[2J: 1 of 2" in capsys.readouterr().out
