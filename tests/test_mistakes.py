"""Whatever folder a command is given, and whatever has become of its files: a sentence, never a traceback."""

import json
import shutil
from contextlib import suppress

import pytest
from evaluation_world import write_latents

from fusemix.cli.called import run_command
from fusemix.disk.files import read_json, read_jsonl
from fusemix.errors import ConfigError, DamagedFileError, FusemixError
from fusemix.parts.registry import Registry

DAMAGED = [b"", b"nope", b"[]", b"{}", b"[1]\n", b'{"format": "x"}', b"\xff\xfe\x00", b"[" * 100_000]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """What users name by mistake: nothing, a file, an empty folder, a set, something that says to be a report."""
    base = tmp_path_factory.mktemp("folders")
    (base / "file").write_text("words")
    (base / "empty").mkdir()
    write_latents(base / "set", 6, 0)
    (base / "report").mkdir()
    (base / "report" / "report.json").write_text('{"format": "fusemix.report", "version": 2, "metrics": {}}')
    return {"nothing": base / "none", "": "", **{name: base / name for name in ("file", "empty", "set", "report")}}


COMMANDS = {
    "info": lambda path, out: run_command("info", [path]),
    "verify": lambda path, out: run_command("verify", [path]),
    "report": lambda path, out: run_command("report", [path]),
    "compare": lambda path, out: run_command("compare", [path, path, f"out={out}"]),
    "eval run": lambda path, out: run_command(
        "eval_retrieval", [f"model={path}", "latents=l", f"out={out}", "compute.accelerator=cpu"]
    ),
    "zero-shot": lambda path, out: run_command("eval_zero_shot", [f"model={path}", "latents=l", f"out={out}"]),
    "zero-shot set": lambda path, out: run_command(
        "eval_zero_shot", ["encoders={a: [b]}", f"latents={path}", f"out={out}"]
    ),
    "generated pictures": lambda path, out: run_command(
        "eval_generation", [f"generated={path}", "reference=r", f"out={out}"]
    ),
    "export": lambda path, out: run_command("export", [f"model={path}", f"out={out}"]),
    "embeddings": lambda path, out: run_command(
        "export_embeddings", [f"latents={path}", "encoders={a: [b]}", f"out={out}"]
    ),
    "import": lambda path, out: run_command(
        "import", [f"latents={path}", "modality=m", f"vectors={path}", f"ids={path}"]
    ),
    "layout": lambda path, out: run_command("import", [f"clip_retrieval={path}", f"out={out}", "dataset=d", "split=s"]),
    "index": lambda path, out: run_command("index", [f"model={path}", f"data={path}", f"out={out}"]),
    "search": lambda path, out: run_command("search", ["words", "--index", path]),
}
FINE = {("info", "set"), ("verify", "set"), ("info", "report")}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("folder", ["nothing", "", "file", "empty", "set", "report"])
def test_a_wrong_folder_is_a_sentence_and_leaves_nothing_behind(folder, command, folders, tmp_path):
    path, out = str(folders[folder]), tmp_path / "out"
    if (command, folder) in FINE:
        COMMANDS[command](path, out)
        return
    with pytest.raises((FusemixError, NotADirectoryError)) as caught:
        COMMANDS[command](path, out)
    assert str(caught.value).strip()
    assert not out.exists()


@pytest.mark.parametrize("raw", DAMAGED, ids=lambda raw: repr(raw[:8]))
@pytest.mark.parametrize("name", ["set.json", "image/eyes/manifest.json"])
def test_a_damaged_description_is_named(raw, name, folders, tmp_path):
    shutil.copytree(folders["set"], tmp_path / "set")
    (tmp_path / "set" / name).write_bytes(raw)
    with pytest.raises(FusemixError, match=name.rpartition("/")[2]):
        run_command("verify", [str(tmp_path / "set")])
    with suppress(FusemixError):  # it shows what can be shown, and the reason beside
        run_command("info", [str(tmp_path / "set")])


@pytest.mark.parametrize("raw", DAMAGED, ids=lambda raw: repr(raw[:8]))
def test_a_damaged_report_is_named(raw, tmp_path):
    (tmp_path / "report.json").write_bytes(raw)
    with pytest.raises(FusemixError, match=r"report\.json"):
        run_command("report", [str(tmp_path)])


def test_json_that_is_none_says_where(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(b'{"a": 1}\n\n{"a": \n')
    with pytest.raises(DamagedFileError, match=r"a\.jsonl, line 3, is damaged: it is not JSON"):
        read_jsonl(tmp_path / "a.jsonl")
    (tmp_path / "a.jsonl").write_bytes(b'{"a": 1}\n[1]\n')
    with pytest.raises(DamagedFileError, match="a line is no JSON object"):
        read_jsonl(tmp_path / "a.jsonl")
    (tmp_path / "a.json").write_bytes(b"\xff")
    with pytest.raises(ValueError, match=r"a\.json is damaged"):
        read_json(tmp_path / "a.json")
    (tmp_path / "a.json").write_text(json.dumps({"a": "ü"}, ensure_ascii=False))
    assert read_json(tmp_path / "a.json") == {"a": "ü"}


CACHE = [
    "dataset.name=glyphs",
    "splits=[test]",
    "encoders.hog={name: hog, options: {size: 16}}",
    "compute.accelerator=cpu",
]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("dataset={name: 'os:getcwd'}", "it takes no 'split', which fusemix gives to every data set"),
        ("dataset={name: 'builtins:dict'}", "does not say which options it takes"),
        ("dataset.options.seed=many", "dataset.options.seed is 'many', but must be a whole number"),
        ("dataset.options.seed=.nan", "dataset.options.seed is '.nan', but must be a whole number"),
        ("dataset.options=[1]", "dataset.options"),
        ("dataset=glyhps", "Did you mean 'glyphs'"),
        ("encoders.hog.options.size=0", "hog with size=0"),
        ("encoders.hog.options.size=1000000", "hog with size=1000000"),
        ("encoders.hog.options.cell=0", "hog with size=16, cell=0"),
        ("encoders.hog.options.coarse=-1", "coarse=-1"),
        ("encoders.x.name=os:getcwd", "encoders.x: os:getcwd gave an object without"),
        ("compute.devices=many", "compute.devices=many"),
        ("compute.devices=-2", "compute.devices=-2"),
        ("compute.accelerator=abacus", "compute.accelerator=abacus"),
    ],
)
def test_a_setting_that_cannot_be_is_named_by_check_and_by_the_run(setting, message, tmp_path):
    for command in ("check", "cache_features"):
        with pytest.raises(FusemixError) as caught:
            run_command(command, [*CACHE, "num_workers=0", f"out={tmp_path / 'out'}", setting])
        assert message in str(caught.value)
        assert not (tmp_path / "out").exists()


def test_a_data_set_that_gives_something_else_is_refused(tmp_path, monkeypatch):
    (tmp_path / "my_data.py").write_text("def load(*, split):\n    return [split]\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match="my_data:load gave a list, where a PairSet is due"):
        run_command("check", [*CACHE, "dataset.name=my_data:load", f"out={tmp_path / 'out'}"])
    with pytest.raises(ConfigError, match="it takes no 'number'"):
        Registry("part", {}).build("my_data:load", {"split": "a"}, number=1)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("set.json", {"num_links": None}),
        ("set.json", {"left": 5}),
        ("set.json", {"num_excluded": "a"}),
        ("set.json", {"source": 5}),
        ("set.json", {"left": {"modality": "../x", "num_items": 1, "sha256": "a"}}),
        ("image/eyes/manifest.json", {"shards": 5}),
        ("image/eyes/manifest.json", {"shards": [{}]}),
        ("image/eyes/manifest.json", {"dim": "wide"}),
        ("image/eyes/manifest.json", {"dtype": "float8"}),
        ("image/eyes/manifest.json", {"accepted": [5]}),
        ("image/eyes/manifest.json", {"fingerprint": 5}),
    ],
)
def test_a_description_of_another_shape_is_damage(name, changes, folders, tmp_path):
    shutil.copytree(folders["set"], tmp_path / "set")
    path = tmp_path / "set" / name
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(FusemixError, match="is damaged: "):
        run_command("verify", [str(tmp_path / "set")])


@pytest.mark.parametrize(
    "row", ["[1]", "null", '{"stage": "a", "reason": "b"}', '{"id": 5, "stage": "a", "reason": "b"}']
)
def test_a_line_of_a_quarantine_that_is_none_is_damage(row, folders, tmp_path):
    shutil.copytree(folders["set"], tmp_path / "set")
    (tmp_path / "set" / "quarantine.jsonl").write_text(f"{row}\n")
    with pytest.raises(FusemixError, match=r"quarantine\.jsonl"):
        run_command("info", [str(tmp_path / "set")])
