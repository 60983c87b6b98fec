"""An export holds no module path of ours and no place on the machine that made it, but for one that others read."""

from module_paths import module_paths_in

READ_BY_SENTENCE_TRANSFORMERS = "fusemix.integrations.sentence_transformers.FusemixModule"
"""It imports the class that modules.json names; so this class stays where it is."""


def test_an_export_holds_none_but_the_class_that_sentence_transformers_imports(whole):
    assert len(list((whole / "onnx").iterdir())) == 3
    assert module_paths_in(whole) == {"modules.json": {READ_BY_SENTENCE_TRANSFORMERS}}


def test_a_file_for_onnxruntime_names_no_place_on_this_machine(whole):
    for path in (whole / "onnx").iterdir():
        content = path.read_bytes()
        assert b'File "' not in content and b"site-packages" not in content
