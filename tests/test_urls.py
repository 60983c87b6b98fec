"""URLs as texts: what is one, and that no secret of one is shown, kept or accepted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusemix.cli.help import help_text
from fusemix.cli.loading import load_config
from fusemix.config import InfoConfig, VerifyConfig
from fusemix.encoders.trouble import one_line
from fusemix.errors import ConfigError, first_line
from fusemix.urls import is_url, local_path, problem, without_secrets

SECRETS = {
    "https://me:pa/ss@host/a.tar": "https://host/a.tar",
    "https://token@host/a.tar": "https://host/a.tar",
    "https://host/a.tar?X-Amz-Signature=5&b=6": "https://host/a.tar",
    "s3://AKIA:a/b+c@bucket/key": "s3://bucket/key",
    "abfs://container:secret@account/x": "abfs://account/x",
    "('https://host/a?sig=5', 403)": "('https://host/a', 403)",
}
PLAIN = (
    "s3://bucket/photos@2x/a:b.png",
    "https://host:8080/a@b.png",
    "abfs://container@account.dfs.core.windows.net/photos",
    "no URL at all? me:secret@home",
)


@pytest.mark.parametrize("text", SECRETS)
def test_users_passwords_and_queries_are_left_out_of_what_is_shown(text):
    assert without_secrets(text) == SECRETS[text]
    assert first_line(OSError(f"cannot open {text}")) == f"cannot open {SECRETS[text]}"
    assert one_line(OSError(f"cannot open {text}")) == f"OSError: cannot open {SECRETS[text]}"


@pytest.mark.parametrize("text", PLAIN)
def test_what_holds_no_secret_stays_as_it_is(text):
    assert without_secrets(text) == text


@given(st.text("ab:/@", min_size=1, max_size=12), st.text("xyz-_", min_size=3, max_size=12))
def test_a_url_that_is_accepted_is_shown_as_it_is(user, bucket):
    for url in (f"s3://{user}@{bucket}/key", f"s3://{bucket}/{user}"):
        if problem(url) is None:
            assert without_secrets(url) == url


@pytest.mark.parametrize("text", ["photos", "C:\\photos", "C:/x", "local-dir:/x", "hf-hub:timm/x", "own:pixels", "~/x"])
def test_paths_and_names_are_no_urls(text):
    assert not is_url(text)
    assert local_path(text) == text


@pytest.mark.parametrize(
    "text", ["s3://bucket/{00000..00099}.tar", "gs://bucket", "memory://a", "abfs://c@account.dfs.core.windows.net/x"]
)
def test_urls_without_secrets_are_accepted(text):
    assert is_url(text)
    assert problem(text) is None


def test_a_url_of_a_file_is_its_path():
    assert local_path("file:///data/my%20photos") == "/data/my photos"
    assert local_path("local:///data/x") == "/data/x"
    assert local_path("FILE://localhost/data") == "/data"


@pytest.mark.parametrize("schema", [InfoConfig, VerifyConfig])
def test_folders_of_this_machine_in_a_list_are_no_urls(schema):
    with pytest.raises(ConfigError, match="folders is .*, but must be a path of this machine, and no URL"):
        load_config(schema, ["latents/x", "s3://bucket/latents"])


def test_help_says_which_settings_take_urls():
    text = help_text("export", [])
    assert "out: path or URL" in text
    assert "model: path (required)" in text
