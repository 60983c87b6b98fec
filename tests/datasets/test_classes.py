"""Labelled data sets: folders of classes, ESC-50, ImageNet, and the prompts of their classes."""

import json

import pytest
from dataset_samples import captions_of, contents_of, excluded_of, picture, sound, write_files, write_table
from open_clip import IMAGENET_CLASSNAMES, OPENAI_IMAGENET_TEMPLATES

from fusemix.datasets.classes import audio_classes, image_classes
from fusemix.datasets.esc50 import COUNTS, esc50
from fusemix.datasets.imagenet import imagenet
from fusemix.datasets.prompts import read_class_names
from fusemix.errors import DatasetError

FILES = ["cat/1.png", "cat/2.PNG", "polar_bear/1.png"]
CLIPS = ["1-100-A-0.wav", "1-100-B-0.wav", "2-200-A-10.wav", "3-300-A-10.wav"]
WORDNET_IDS = [f"n{10_000_000 + number}" for number in range(1_000)]


@pytest.fixture
def folder(tmp_path):
    return write_files(tmp_path / "pictures", FILES)


@pytest.fixture
def environmental(tmp_path):
    """ESC-50's own layout with four clips of two classes."""
    rows = [[name, name[0], 0, "dog" if name[0] == "1" else "sea_waves", "False", "x", "A"] for name in CLIPS]
    header = ["filename", "fold", "target", "category", "esc10", "src_file", "take"]
    return {
        "clips": write_files(tmp_path / "audio", CLIPS, sound),
        "annotations": write_table(tmp_path / "esc50.csv", header, rows),
        "check_counts": False,
    }


def prompts_of(pairs):
    return [tuple(row.values()) for row in pairs.right.table.to_pylist()]


def test_a_subfolder_is_a_class_and_every_file_is_linked_with_all_prompts_of_its_own(folder):
    pairs = image_classes(split="all", folder=folder, templates=["a {}.", "no {}?"])
    assert pairs.right.table.column_names == ["id", "caption", "class", "template"]
    assert prompts_of(pairs) == [
        ("cat#0", "a cat.", "cat", "a {}."),
        ("cat#1", "no cat?", "cat", "no {}?"),
        ("polar_bear#0", "a polar bear.", "polar_bear", "a {}."),
        ("polar_bear#1", "no polar bear?", "polar_bear", "no {}?"),
    ]
    assert captions_of(pairs) == {
        "cat/1.png": ["a cat.", "no cat?"],
        "cat/2.PNG": ["a cat.", "no cat?"],
        "polar_bear/1.png": ["a polar bear.", "no polar bear?"],
    }
    assert contents_of(pairs.left)["polar_bear/1.png"] == picture(2)


def test_templates_of_papers_are_used_where_none_are_given(folder, environmental):
    assert prompts_of(image_classes(split="all", folder=folder))[0][1] == "a photo of a cat."
    assert prompts_of(esc50(split="test", **environmental))[1][1] == "This is a sound of sea waves."


def test_openai_names_the_80_templates_of_clip(folder):
    pairs = image_classes(split="all", folder=folder, templates="openai")
    assert [row[1] for row in prompts_of(pairs)[80:]] == [make("polar bear") for make in OPENAI_IMAGENET_TEMPLATES]
    assert len(pairs.links) == 3 * 80


def test_a_split_is_a_subfolder_of_its_name(tmp_path):
    names = ["train/cat/1.png", "train/dog/1.png", "val/cat/1.png", "val/dog/1.png"]
    folder = write_files(tmp_path / "pictures", names)
    found = {
        split: image_classes(split=split, folder=folder).left.table["id"].to_pylist() for split in ("train", "val")
    }
    assert found == {"train": names[:2], "val": names[2:]}
    with pytest.raises(DatasetError, match=r"image_classes has no split 'test'; .*pictures holds: train, val"):
        image_classes(split="test", folder=folder)
    with pytest.raises(
        DatasetError, match=r"holds folders of classes already \(train, val\), and fractions were given"
    ):
        image_classes(split="train", folder=folder, fractions={"train": 1.0})


def test_shares_are_drawn_by_name_and_every_split_knows_all_classes(tmp_path):
    names = [f"{label}/{number}.wav" for label in ("dog", "rain") for number in range(20)]
    folder = write_files(tmp_path / "sounds", [*names, "rare/1.wav"], sound)
    shares = {"train": 0.5, "test": 0.5}
    splits = [audio_classes(split=split, folder=folder, fractions=shares) for split in shares]
    ids = [set(pairs.left.table["id"].to_pylist()) for pairs in splits]
    assert ids[0] | ids[1] == {*names, "rare/1.wav"}
    assert not ids[0] & ids[1]
    assert [pairs.right.table["class"].to_pylist() for pairs in splits] == [["dog", "rain", "rare"]] * 2
    assert all(pairs.left.modality == "audio" for pairs in splits)


def test_a_split_that_nobody_named_is_refused(folder):
    with pytest.raises(DatasetError, match=r"image_classes has no split 'test'; it has: all, train\..*fractions"):
        image_classes(split="test", folder=folder)


def test_files_that_are_no_pictures_are_listed_and_hidden_ones_passed_over(folder, tmp_path):
    write_files(tmp_path / "pictures", ["cat/notes.txt", "cat/.DS_Store", ".git/cat/1.png"])
    pairs = image_classes(split="all", folder=folder)
    assert [item for item, _ in excluded_of(pairs)] == ["cat/notes.txt"]
    assert excluded_of(pairs)[0][1].startswith("no picture by its ending")
    assert len(pairs.left) == 3


@pytest.mark.parametrize("name", ["__MACOSX", ".ipynb_checkpoints", "@eaDir", "$RECYCLE.BIN", "lost+found"])
def test_folders_of_the_system_are_neither_classes_nor_splits(name, tmp_path):
    folder = write_files(tmp_path / "pictures", [*FILES, f"{name}/cat/1.png", f"cat/{name}/1.png", "cat/Thumbs.db"])
    pairs = image_classes(split="all", folder=folder)
    assert [row[2] for row in prompts_of(pairs)] == ["cat", "polar_bear"]
    assert list(captions_of(pairs)) == FILES
    assert pairs.excluded == ()


def test_a_class_without_a_file_and_files_of_no_class_are_listed(tmp_path):
    write_files(tmp_path / "test", [*FILES, "loose.png", "README.md", "cat/more/2.png"])
    (tmp_path / "test/dog").mkdir()
    pairs = image_classes(split="test", folder=str(tmp_path))
    assert [row[2] for row in prompts_of(pairs)] == ["cat", "dog", "polar_bear"]
    assert [item for item, _ in excluded_of(pairs)] == ["test/cat/more/", "test/dog/", "test/loose.png"]


def test_classes_that_are_called_alike_are_refused(folder, tmp_path):
    with pytest.raises(DatasetError, match=r"the classes cat and polar_bear are both called 'bear', so their prompts"):
        image_classes(split="all", folder=folder, class_names={"cat": "bear", "polar_bear": "bear"})
    write_files(tmp_path / "pictures", ["polar-bear/1.png"])
    with pytest.raises(DatasetError, match=r"the classes polar-bear and polar_bear are both called 'polar bear'"):
        image_classes(split="all", folder=folder)


def test_names_of_classes_come_from_a_mapping_or_a_file(folder, tmp_path):
    def words(class_names):
        return prompts_of(image_classes(split="all", folder=folder, templates=["{}"], class_names=class_names))

    assert [row[1] for row in words({"cat": "house cat"})] == ["house cat", "polar bear"]
    (tmp_path / "names.json").write_text(json.dumps({"cat": "kitten", "elsewhere": "x"}))
    assert [row[1] for row in words(str(tmp_path / "names.json"))] == ["kitten", "polar bear"]
    (tmp_path / "names.txt").write_text("cat tabby, tabby cat\n\npolar_bear ice bear, Ursus\n")
    assert [row[1] for row in words(str(tmp_path / "names.txt"))] == ["tabby", "ice bear"]


def test_a_file_of_names_that_names_a_class_twice_is_refused(folder, tmp_path):
    (tmp_path / "names.txt").write_text("cat tabby\ncat kitten\n")
    (tmp_path / "names.json").write_text('{"cat": "tabby", "cat": "kitten"}')
    for name in ("names.txt", "names.json"):
        with pytest.raises(DatasetError, match=f"{name} cannot be read as class names, .*the key 'cat' occurs twice"):
            image_classes(split="all", folder=folder, class_names=str(tmp_path / name))


def test_names_of_other_classes_are_refused(folder, tmp_path):
    with pytest.raises(DatasetError, match=r"class_names names 'cats', which is no class here. Did you mean 'cat'\?"):
        image_classes(split="all", folder=folder, class_names={"cats": "x"})
    (tmp_path / "names.txt").write_text("n01440764 tench, Tinca tinca\n")
    with pytest.raises(DatasetError, match="names 'n01440764', which is no class here"):
        image_classes(split="all", folder=folder, class_names=str(tmp_path / "names.txt"))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("names.txt", "cat\n", "cannot be read as class names, a class and its words a line"),
        ("names.json", "{", "cannot be read as class names"),
        ("names.json", '{"0": ["n01440764", "tench"]}', "must hold one object of class -> words"),
        ("names.json", "[]", "must hold one object of class -> words"),
    ],
)
def test_a_file_of_names_in_another_layout_is_named(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(DatasetError, match=f"{name} {message}"):
        read_class_names(tmp_path / name)


def test_a_file_of_names_that_is_not_there_is_named(folder):
    with pytest.raises(DatasetError, match="there is no file of class names nowhere.json"):
        image_classes(split="all", folder=folder, class_names="nowhere.json")


@pytest.mark.parametrize(
    ("templates", "message"),
    [
        (["a photo"], "templates: 'a photo' must hold {} once"),
        (["{} and {}"], "templates: '{} and {}' must hold {} once"),
        ([], "templates is empty"),
        (["{}", "{}"], "templates holds a template twice"),
        ("a {}", "templates is 'a {}'. Give a list, such as"),
    ],
)
def test_templates_that_cannot_be_used_are_named(folder, templates, message):
    with pytest.raises(DatasetError) as error:
        image_classes(split="all", folder=folder, templates=templates)
    assert message in str(error.value)


def test_folders_that_hold_nothing_are_named(tmp_path):
    with pytest.raises(DatasetError, match="image_classes: there is no folder .*nowhere"):
        image_classes(split="all", folder=str(tmp_path / "nowhere"))
    (tmp_path / "flat").mkdir()
    with pytest.raises(DatasetError, match="flat has no subfolders, and each class must have one"):
        image_classes(split="all", folder=str(tmp_path / "flat"))
    folder = write_files(tmp_path / "sounds", ["dog/1.wav"], sound)
    with pytest.raises(
        DatasetError,
        match="of the 1 files in the 1 subfolders of .*sounds, none is a picture by its ending, such as .jpg or .jpeg",
    ):
        image_classes(split="all", folder=folder)


def test_esc50_is_read_in_its_authors_layout_and_in_folds(environmental):
    pairs = esc50(split="test", **environmental)
    assert captions_of(pairs)["1-100-B-0.wav"] == ["This is a sound of dog."]
    assert len(pairs.left) == 4
    first = esc50(split="fold1", **environmental)
    assert first.left.table["id"].to_pylist() == CLIPS[:2]
    assert first.right.table["class"].to_pylist() == ["dog", "sea_waves"]
    assert contents_of(first.left)[CLIPS[1]] == sound(1)


def test_esc50_is_also_read_out_of_a_table_with_other_columns(environmental, tmp_path):
    rows = [[name, name.split("-")[1], 0, "dog", "a title"] for name in CLIPS]
    table = write_table(tmp_path / "other.csv", ["file", "recording", "target", "category", "title"], rows)
    pairs = esc50(split="fold2", **{**environmental, "annotations": table})
    assert captions_of(pairs) == {CLIPS[2]: ["This is a sound of dog."]}


def test_clips_that_are_missing_are_listed(environmental, tmp_path):
    (tmp_path / "audio" / CLIPS[0]).unlink()
    assert excluded_of(esc50(split="fold1", **environmental)) == [(CLIPS[0], f"no such file in {tmp_path / 'audio'}")]


def test_a_part_of_esc50_is_refused_unless_it_is_meant(environmental):
    with pytest.raises(
        DatasetError,
        match=r"published with 2,000 audio items of 50 classes, but this copy gives 4 of 2\..*check_counts=false",
    ):
        esc50(split="test", **{**environmental, "check_counts": True})
    assert sum(COUNTS[f"fold{number}"] for number in range(1, 6)) == COUNTS["test"]


def test_esc50_has_no_other_splits(environmental):
    with pytest.raises(DatasetError, match=r"esc50 has no split 'fold6'; it has: test, fold1, .*fold5"):
        esc50(split="fold6", **environmental)


def test_imagenets_folders_get_clips_names_in_the_order_of_their_ids(tmp_path):
    names = [f"val/{wordnet_id}/a.JPEG" for wordnet_id in WORDNET_IDS]
    folder = write_files(tmp_path / "imagenet", names, lambda seed: b"")
    pairs = imagenet(split="validation", folder=folder, check_counts=False)
    expected = [f"a photo of a {name}." for name in IMAGENET_CLASSNAMES]
    assert pairs.right.table["caption"].to_pylist() == expected
    assert pairs.left.table["id"].to_pylist()[:1] == names[:1]
    assert len(pairs.links) == 1_000
    with pytest.raises(
        DatasetError, match=r"published with 50,000 image items of 1,000 classes, .* gives 1,000 of 1,000"
    ):
        imagenet(split="validation", folder=folder)


def test_a_part_of_imagenet_needs_names(tmp_path):
    folder = write_files(tmp_path / "some", ["n01440764/a.JPEG", "n01443537/b.JPEG"])
    with pytest.raises(DatasetError, match="2 of the 2 folders in .*some have no name in words, such as n01440764"):
        imagenet(split="validation", folder=folder, check_counts=False)
    (tmp_path / "LOC_synset_mapping.txt").write_text("n01440764 tench, Tinca tinca\nn01443537 goldfish, Carassius\n")
    names = str(tmp_path / "LOC_synset_mapping.txt")
    pairs = imagenet(split="validation", folder=folder, class_names=names, check_counts=False)
    assert captions_of(pairs) == {
        "n01440764/a.JPEG": ["a photo of a tench."],
        "n01443537/b.JPEG": ["a photo of a goldfish."],
    }


def test_imagenet_has_no_labelled_test_split(tmp_path):
    with pytest.raises(DatasetError, match="imagenet has no split 'test'; it has: train, validation"):
        imagenet(split="test", folder=str(tmp_path))
