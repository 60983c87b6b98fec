import datasets
import huggingface_hub.constants
import pytest
from dataset_samples import PICTURES, encoded_column, write_files, write_parquet, write_table

from fusemix.datasets.captioned_files import image_captions


@pytest.fixture(scope="session")
def hub_cache(tmp_path_factory):
    return tmp_path_factory.mktemp("hub-cache")


@pytest.fixture(scope="session", autouse=True)
def _without_network(hub_cache):
    # Variables such as HF_HOME are read when `datasets` is imported, which another test folder may have done before.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
        patch.setattr(datasets.config, "HF_DATASETS_OFFLINE", True)
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", hub_cache)
        patch.setattr(datasets.config, "HF_MODULES_CACHE", str(hub_cache / "modules"))
        patch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
        yield


@pytest.fixture(scope="session", autouse=True)
def _cache_of_its_own(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("user-cache")))
        yield


@pytest.fixture
def copy(tmp_path):
    """Write a folder with a split train of three pictures, and further columns; gives its path."""

    def write(split="train", **columns):
        table = {"jpg": encoded_column(PICTURES), "txt": ["one", "two", "three"], **columns}
        write_parquet(tmp_path / "copy" / f"{split}.parquet", table)
        return str(tmp_path / "copy")

    return write


@pytest.fixture
def captioned(tmp_path):
    """Load captions given as rows of (file, caption, ...) out of a folder that has a.png, b.png and c.png."""
    folder = write_files(tmp_path / "pictures", ["a.png", "b.png", "c.png"])

    def load(rows, *, split="all", header=("file", "caption"), **options):
        captions = write_table(tmp_path / "captions.csv", list(header), rows)
        return image_captions(split=split, folder=folder, captions=captions, **options)

    return load
