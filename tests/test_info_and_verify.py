"""`fusemix info` and `fusemix verify` know every kind of folder that fusemix writes, and say what is not its own."""

import json
import shutil

import pytest

from fusemix.cli.called import run_command
from fusemix.errors import FusemixError, LatentStoreError


def told(capsys, *folders):
    capsys.readouterr()
    run_command("info", [str(folder) for folder in folders])
    return " ".join(capsys.readouterr().out.split())


def verified(capsys, *folders):
    capsys.readouterr()
    run_command("verify", [str(folder) for folder in folders])
    return " ".join(capsys.readouterr().out.split())


@pytest.fixture
def sets(tiny, tmp_path):
    """Two latent sets, and what is none."""
    for name in ("train", "validation"):
        shutil.copytree(tiny.latents / "sounds" / "all", tmp_path / "sets" / name)
    (tmp_path / "sets" / "notes.txt").write_text("mine")
    return tmp_path / "sets"


def test_a_folder_of_sets_is_told_in_a_line_each_with_what_is_none(sets, capsys):
    said = told(capsys, sets)
    assert "folder of 2 latent sets" in said
    for name in ("train", "validation"):
        assert f"{name} audio_captions/all: 24 audio and 24 text, 24 links; audio/wavlm, text/bert" in said
    assert "no latent sets, and passed over: notes.txt" in said
    assert "latent set" in told(capsys, sets / "val"), "val means validation"


def test_a_run_an_index_and_an_export_say_what_they_are(tiny, picture_index, tmp_path, capsys):
    said = told(capsys, tiny.run)
    assert said.startswith("run ")
    for part in ("image, text, audio", "hog", "embedding_dim 16", "best.ckpt epoch", "last.ckpt epoch 3 of 3"):
        assert part in said
    said = told(capsys, picture_index)
    for part in ("index ", "items 36 image", "width 16", "asked by image, text, audio", "set aside 0"):
        assert part in said
    out = run_command("export", [f"model={tiny.run}", f"out={tmp_path / 'export'}"])
    said = told(capsys, out)
    for part in ("exported model ", "checkpoint best", "embedding_dim 16", "built by, audio transformers_audio"):
        assert part in said


@pytest.mark.parametrize(
    ("name", "kind", "content"),
    [
        ("report.json", "report of retrieval", {"format": "fusemix.report", "metrics": {"mean_recall": 0.25}}),
        ("report.json", "report of zero-shot classification", {"format": "fusemix.zero_shot_report"}),
        ("generation.json", "report on generated pictures", {"format": "fusemix.generation_report"}),
        ("compare.json", "comparison", {"format": "fusemix.comparison", "runs": [{"name": "mine"}]}),
    ],
)
def test_reports_say_of_what_they_are(tmp_path, capsys, name, kind, content):
    (tmp_path / name).write_text(json.dumps({"version": 1, **content, "data": {"name": "glyphs/test"}}))
    said = told(capsys, tmp_path)
    assert said.startswith(kind)
    assert "data.name glyphs/test" in said
    assert ("mean_recall 0.25" in said) == ("metrics" in content)
    assert ("of mine" in said) == ("runs" in content)


def test_what_is_not_ours_is_said_to_be(tmp_path, capsys):
    (tmp_path / "config.json").write_text('{"format": "somebody.else"}')
    with pytest.raises(LatentStoreError, match=r"is none of fusemix's: it has no set\.json, .* Known are latent sets"):
        run_command("info", [str(tmp_path)])
    with pytest.raises(LatentStoreError, match="holds nothing that verify knows"):
        run_command("verify", [str(tmp_path)])
    for command in ("info", "verify"):
        with pytest.raises(LatentStoreError, match="there is no folder"):
            run_command(command, [str(tmp_path / "nowhere")])


def test_every_set_of_a_folder_is_verified_and_what_is_none_is_said(sets, capsys):
    said = verified(capsys, sets)
    assert said.count("tables are as they were sealed") == 2
    assert "no latent sets, and not looked at: notes.txt" in said
    shard = next((sets / "validation" / "audio" / "wavlm").glob("latents-*.npy"))
    content = bytearray(shard.read_bytes())
    content[-1] ^= 1
    shard.write_bytes(content)
    with pytest.raises(LatentStoreError, match=rf"1 damaged:\n +{shard} "):
        run_command("verify", [str(sets)])


def test_checkpoints_are_read_and_an_export_is_compared_with_its_hash(tiny, tmp_path, capsys):
    run = shutil.copytree(tiny.run, tmp_path / "run")
    assert "2 checkpoints and hubs.safetensors can be read; a run keeps no hashes" in verified(capsys, run)
    (run / "checkpoints" / "best.ckpt").write_bytes(b"cut off")
    with pytest.raises(FusemixError, match=r"1 damaged:\n.*best\.ckpt cannot be used"):
        run_command("verify", [str(run)])
    out = run_command("export", [f"model={tiny.run}", f"out={tmp_path / 'export'}"])
    assert "weights are as they were written" in verified(capsys, out)
    content = bytearray((out / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (out / "model.safetensors").write_bytes(content)
    with pytest.raises(FusemixError, match="1 damaged"):
        run_command("verify", [str(out)])
