"""Which URLs of data sets are opened, and what is said of those that are not."""

from pathlib import Path

import pytest
import shelf
from remote_samples import captioned, photos, same, tars

from fusemix.cli.loading import load_config
from fusemix.cli.parts import PARTS
from fusemix.config import CacheConfig
from fusemix.datasets import DATASETS
from fusemix.errors import ConfigError, DatasetError, RemoteError, UntrustedCodeError
from fusemix.parts.trust import named_by_data


@pytest.fixture(autouse=True)
def store(shelf_folder) -> Path:
    return shelf_folder


REFUSED = {
    "simplecache::file:///etc/passwd": "chains protocols",
    "filecache::s3://bucket/x": "chains protocols",
    "zip://x.png::s3://bucket/a.zip": "chains protocols",
    "reference://x": "chains protocols",
    "s3://key:se/cret@bucket/x": "it holds a user, a password or a query",
    "https://token@host/x": "it holds a user, a password or a query",
    "https://host/x.csv?X-Amz-Signature=secret": "it holds a user, a password or a query",
    "s3://": "names no place",
    "s3://bucket/../other": "holds '.' or '..'",
    "nosuch://bucket/x": "fsspec knows no protocol 'nosuch'",
}


@pytest.mark.parametrize("url", REFUSED)
def test_urls_that_chain_or_hold_secrets_are_refused_and_their_secrets_not_told(url):
    settings = ["dataset.name=webdataset", f"dataset.options.folder={url}", "splits=all", "encoders.a=hog", "out=x"]
    asked = [lambda: tars(url), lambda: DATASETS.build("image_captions", {"folder": "x", "captions": url}, split="all")]
    if "nosuch" not in url:  # which protocols there are is known when one is opened
        asked.append(lambda: load_config(CacheConfig, settings, parts=PARTS))
    for ask in asked:
        with pytest.raises(ConfigError) as refused:
            ask()
        assert REFUSED[url] in str(refused.value)
        assert not any(word in str(refused.value) for word in ("secret", "se/cret", "token", "Signature"))


def test_a_local_path_may_be_written_as_a_url_of_a_file(store):
    here = photos(store / "my photos")
    same(captioned(f"file://{here}"), captioned(str(here)))
    settings = ["dataset.name=image_captions", f"dataset.options.folder=file://{here}".replace(" ", "%20"),
                "dataset.options.captions=~/c.csv", "splits=all", "encoders.a=hog", "out=x"]  # fmt: skip
    options = load_config(CacheConfig, settings, parts=PARTS).dataset.options
    assert options == {"folder": str(here), "captions": str(Path("~/c.csv").expanduser())}


def test_settings_leave_a_url_as_it_was_typed():
    settings = ["dataset.name=webdataset", "dataset.options.folder=s3://bucket/{00000..00099}.tar", "splits=all",
                "encoders.a=hog", "out=x"]  # fmt: skip
    assert load_config(CacheConfig, settings, parts=PARTS).dataset.options["folder"] == "s3://bucket/{00000..00099}.tar"


def test_data_may_name_only_urls_that_the_users_own_settings_have_named(store):
    photos(store / "photos")
    photos(store / "other")
    with named_by_data(), pytest.raises(UntrustedCodeError, match="shelf://photos.* is named by data"):
        captioned("shelf://photos")
    assert shelf.CALLS == []
    captioned("shelf://photos")
    with named_by_data():
        assert len(captioned("shelf://photos").left) == 6
        with pytest.raises(UntrustedCodeError, match="shelf://other"):
            captioned("shelf://other")
        with pytest.raises(ConfigError, match="chains protocols"):
            captioned("simplecache::shelf://photos")


def test_a_folder_or_file_that_is_not_there_is_said_by_its_url(store):
    photos(store / "photos")
    with pytest.raises(RemoteError, match="there is no file shelf://photos/none.csv"):
        captioned("shelf://photos", captions="shelf://photos/none.csv")
    with pytest.raises(DatasetError, match="there is no folder shelf://nowhere"):
        captioned("shelf://nowhere", captions="shelf://photos/captions.csv")
    with pytest.raises(DatasetError, match="there is no folder shelf://nowhere"):
        tars("shelf://nowhere")


def test_data_sets_that_read_this_machine_alone_say_so():
    with pytest.raises(
        ConfigError, match="'folder' is 's3://bucket/x', but must be a path of this machine, and no URL"
    ):
        DATASETS.build("image_classes", {"folder": "s3://bucket/x"}, split="all")


def test_a_package_that_is_missing_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "s3fs", None)
    with pytest.raises(ConfigError, match=r"s3://bucket/x needs s3fs, the extra 's3' of fusemix.*pip install .*s3fs"):
        tars("s3://bucket/x")
