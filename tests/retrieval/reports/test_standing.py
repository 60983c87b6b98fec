"""What may stand in the place of a report: the same one again, and another one only by overwriting."""

import json
from pathlib import Path

import pytest
from report_samples import drawn_ranks, report_content, sample_report

from fusemix.errors import OutputError
from fusemix.reports.reading import REPORT
from fusemix.reports.standing import identity_of, place_for

FINGERPRINT = {"encoder": {"family": "hog", "size": 32, "packages": {"numpy": "1"}}, "dtype": "float16"}


def content(**changes: object) -> dict:
    made = report_content(drawn_ranks(0))
    made["data"]["fingerprints"] = {"image": [FINGERPRINT]}
    made["model"] |= {"epoch": 3, "weights_sha256": "d" * 64, "config": {"optim": {"lr": 0.1}}}
    for path, value in changes.items():
        part, *keys = path.split("__")
        below = made[part]
        for key in keys[:-1]:
            below = below[key]
        below[keys[-1]] = value
    return made


@pytest.fixture
def out(tmp_path) -> Path:
    return sample_report(tmp_path / "out", **content())


SAME = {
    "a run that was moved": {"model__run": "elsewhere/a"},
    "other depths": {"metrics__image_to_text/recall_at_3": 0.5},
    "another release of a library": {
        "data__fingerprints": {"image": [{**FINGERPRINT, "encoder": {**FINGERPRINT["encoder"], "packages": {}}}]}
    },
}


@pytest.mark.parametrize("changes", SAME.values(), ids=SAME)
def test_the_same_is_written_again_in_its_place(out, changes):
    with place_for(out, REPORT, identity_of(content(**changes)), overwrite=False) as place:
        assert place == out


OTHER = {
    "protocol__name": ("coco_1k", "protocol: on disk 'whole_split', now 'coco_1k'"),
    "data__name": ("photos/train", "data.name: on disk 'photos/test', now 'photos/train'"),
    "data__sha256__left": ("e" * 64, f"data.sha256.left: on disk '{'a' * 64}', now '{'e' * 64}'"),
    "data__fingerprints__image": (
        [{**FINGERPRINT, "encoder": {"family": "hog", "size": 16}}],
        "data.fingerprints.image[0].encoder.size: on disk 32, now 16",
    ),
    "model__checkpoint": ("last", "model.checkpoint: on disk 'best', now 'last'"),
    "model__epoch": (7, "model.epoch: on disk 3, now 7"),
    "model__config__optim__lr": (0.2, "model.config.optim.lr: on disk 0.1, now 0.2"),
    "model__weights_sha256": ("f" * 64, f"model.weights_sha256: on disk '{'d' * 64}', now '{'f' * 64}'"),
}


@pytest.mark.parametrize(("field", "value", "line"), [(key, *rest) for key, rest in OTHER.items()], ids=OTHER)
def test_another_is_refused_by_the_field_that_differs_and_replaced_where_that_is_meant(out, field, value, line):
    wanted, before = identity_of(content(**{field: value})), (out / "report.json").read_bytes()
    with pytest.raises(OutputError) as refused, place_for(out, REPORT, wanted, overwrite=False):
        pytest.fail("no work is begun")
    assert str(refused.value).splitlines() == [
        f"{out} holds a report that differs from this one:",
        f"  {line}",
        "Choose another out, or discard what is there with overwrite=true.",
    ]
    with place_for(out, REPORT, wanted, overwrite=True) as place:
        (place / "report.json").write_text(json.dumps(content(**{field: value})))
        assert (out / "report.json").read_bytes() == before, "until the new one is whole"
    assert [path.name for path in out.parent.iterdir()] == ["out"]
    assert [path.name for path in out.iterdir()] == ["report.json"], "nothing of the old one stays"
    assert identity_of(json.loads((out / "report.json").read_text())) == wanted


def test_work_that_fails_leaves_the_report_that_was_to_be_replaced(out):
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    with pytest.raises(RuntimeError, match="astray"), place_for(out, REPORT, {}, overwrite=True) as place:
        (place / "report.json").write_text("{}")
        raise RuntimeError("astray")
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert [path.name for path in out.parent.iterdir()] == ["out"]


def test_a_report_of_before_says_less_and_is_another(out):
    about = content()
    del about["model"]["weights_sha256"]
    (out / "report.json").write_text(json.dumps(about))
    with (
        pytest.raises(OutputError, match="weights_sha256: on disk None"),
        place_for(out, REPORT, identity_of(content()), overwrite=False),
    ):
        pass


@pytest.mark.parametrize("part", ["data", "model", "protocol"])
def test_a_report_that_somebody_has_changed_is_another(out, part):
    (out / "report.json").write_text(json.dumps({**content(), part: ["?"]}))
    with (
        pytest.raises(OutputError, match=rf"differs from this one:\n  {part}"),
        place_for(out, REPORT, identity_of(content()), overwrite=False),
    ):
        pass
