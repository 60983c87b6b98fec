"""What the evaluation command refuses: one message each, that says what, where and how to fix."""

import shutil

import pytest
from evaluation_world import World, broken_run, evaluated, write_latents

from fusemix.commands import eval_retrieval
from fusemix.errors import ConfigError, LatentStoreError, RunError


@pytest.fixture(scope="module")
def world(evaluation_world) -> World:
    return evaluation_world


def test_baselines_that_could_not_be_compared_are_refused(world, tmp_path):
    with pytest.raises(
        ConfigError, match=r"baselines.plain: latents are compared .*image \[12\], text \[8\]. Name enc"
    ):
        evaluated(world, tmp_path, "baselines.plain.encoders={image: [eyes], text: [words]}")
    with pytest.raises(LatentStoreError, match="blip"):
        evaluated(world, tmp_path, "baselines.blip.encoders={image: [blip], text: [clip_text]}")
    with pytest.raises(ConfigError, match="baselines.none: give train"):
        evaluated(world, tmp_path, "baselines.none={}")
    with pytest.raises(LatentStoreError, match="nowhere"):
        evaluated(world, tmp_path, "baselines.CCA.train=nowhere")


def test_a_baseline_that_lacks_latents_of_measured_items_is_refused(world, tmp_path):
    sets = tmp_path / "test"
    shutil.copytree(world.sets / "validation", sets)
    lossy = write_latents(tmp_path / "lossy" / "validation", 40, 1, lost=3)
    shutil.rmtree(sets / "image" / "clip")
    shutil.copytree(lossy / "image" / "clip", sets / "image" / "clip")
    with pytest.raises(ConfigError, match=r"baselines.clip: 3 image items that are measured have no latent of these"):
        evaluated(world, tmp_path / "r", "baselines.clip.encoders={image: [clip], text: [clip_text]}", test=sets)


def test_a_linear_map_is_not_fitted_on_what_is_measured(world, tmp_path):
    with pytest.raises(ConfigError, match=r"baselines.CCA.train is the set that is measured; give a training set"):
        evaluated(world, tmp_path, f"baselines.CCA.train={world.sets / 'test'}")


def test_mistakes_beside_the_run_are_said_before_anything_is_computed(world, tmp_path, monkeypatch):
    monkeypatch.setattr(eval_retrieval, "measure", None)
    for mistake in ("bank=nowhere", "baselines.CCA.train=nowhere"):
        with pytest.raises(LatentStoreError, match="nowhere has no set.json"):
            evaluated(world, tmp_path, mistake)


def test_a_bank_is_for_corrections_that_are_not_left_out(world, tmp_path):
    with pytest.raises(ConfigError, match=r"corrections=false leaves them out\. Leave out one"):
        evaluated(world, tmp_path, f"bank={world.sets / 'train'}", "corrections=false")


def test_a_bank_must_be_there_and_not_be_the_set_that_is_measured(world, tmp_path):
    with pytest.raises(LatentStoreError, match="nowhere"):
        evaluated(world, tmp_path, "bank=nowhere")
    for same in (world.sets / "test", world.sets / "train" / ".." / "test"):
        with pytest.raises(ConfigError, match=r"bank is the set that is measured; give a training set, as in lat"):
            evaluated(world, tmp_path, f"bank={same}")


def test_a_model_that_gives_nan_is_one_message_that_names_the_first_item(world, tmp_path):
    astray = World(broken_run(world, tmp_path / "run"), world.sets)
    wanted = r"gives NaN or infinity for 58 of 58 image items, such as 'picture-2', .*Training went astray"
    with pytest.raises(RunError, match=wanted):
        evaluated(astray, tmp_path / "report")
    assert not (tmp_path / "report").exists()


def test_a_set_of_other_widths_or_other_encoders_is_refused(world, tmp_path):
    wider = tmp_path / "wider" / "test"
    shutil.copytree(world.sets / "test", wider)
    shutil.rmtree(wider / "text" / "words")
    shutil.copytree(wider / "text" / "clip_text", wider / "text" / "words")
    with pytest.raises(RunError, match=r"(?s)its text latents were not made like.*dim: on disk 6, now 8"):
        evaluated(world, tmp_path / "report", test=wider)
    foreign = tmp_path / "foreign" / "test"
    shutil.copytree(world.sets / "test", foreign)
    manifest = foreign / "image" / "eyes" / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"family": "eyes"', '"family": "others"'))
    with pytest.raises(
        RunError, match=r"(?s)its image latents were not made like.*family: on disk 'others', now 'eyes'"
    ):
        evaluated(world, tmp_path / "report", test=foreign)


def test_looking_deeper_than_a_gallery_or_a_fold_is_refused(world, tmp_path):
    with pytest.raises(ConfigError, match=r"ks asks for the first 59, but the smaller side of .* has 58 items. Set ks"):
        evaluated(world, tmp_path, "ks=[1,59]")
    folds = ["protocol=coco_1k", "allow_other_counts=true"]
    with pytest.raises(ConfigError, match=r"ks asks for the first 12, but the smaller .* has 11 items in a fold"):
        evaluated(world, tmp_path, *folds, "ks=[1,12]")
    assert evaluated(world, tmp_path / "report", "ks=[58]")["metrics"]["image_to_text/recall_at_58"] <= 1.0


def test_a_protocol_asks_for_its_counts_unless_others_are_meant(world, tmp_path):
    with pytest.raises(RunError, match=r"has 58 items with 174 captions, and the protocol clotho is measured on 1,045"):
        evaluated(world, tmp_path, "protocol=clotho")
    report = evaluated(world, tmp_path / "report", "protocol=clotho", "allow_other_counts=true")
    assert report["protocol"]["name"] == "clotho"
    assert report["counts"]["image_to_text"]["queries"] == 58
    with pytest.raises(ConfigError, match=r"protocol=cloto is not known. Did you mean 'clotho'"):
        evaluated(world, tmp_path, "protocol=cloto")


def test_indexes_of_folds_are_refused(world, tmp_path):
    folds = ["protocol=coco_1k", "allow_other_counts=true", "ks=[1,5]"]
    with pytest.raises(ConfigError, match="indexes are measured on whole galleries, and coco_1k has 5 folds"):
        evaluated(world, tmp_path, *folds, "indexes={Flat: ''}")


def test_fewer_items_than_folds_are_one_message(world, tmp_path):
    few = write_latents(tmp_path / "few", 3, 5)
    with pytest.raises(ConfigError, match="ks asks for the first 10, but the smaller side of .* has 0 items in a fold"):
        evaluated(world, tmp_path / "report", "protocol=coco_1k", "allow_other_counts=true", test=few)


def test_a_run_or_a_set_that_is_not_there_is_named(world, tmp_path):
    with pytest.raises(RunError, match=r"there is no checkpoint .*best.ckpt. Train first"):
        evaluated(World(tmp_path / "nowhere", world.sets), tmp_path)
    with pytest.raises(RunError, match=r"there is no checkpoint .*best.ckpt. There are: last.ckpt"):
        run = tmp_path / "run"
        shutil.copytree(world.run, run)
        (run / "checkpoints" / "best.ckpt").unlink()
        evaluated(World(run, world.sets), tmp_path)
    with pytest.raises(LatentStoreError, match="nowhere"):
        evaluated(world, tmp_path, test=tmp_path / "nowhere")


def test_an_index_that_faiss_cannot_make_is_one_message(world, tmp_path):
    with pytest.raises(ConfigError, match="indexes: FAISS cannot make 'IVF400,Flat' over 180 items of width 8"):
        evaluated(world, tmp_path, "indexes={'IVF400,Flat': ''}")
