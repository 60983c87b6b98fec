"""A run that is trained where one is: its settings stay, and so does the run until the new one is trained."""

import pytest
from test_overwrite import content
from travel.exports import train_on_made_up_latents

from fusemix.errors import FusemixError


def test_settings_that_a_run_reads_are_never_written_over(make_set, tmp_path):
    out = tmp_path / "exp"
    out.mkdir()
    mine = "# lr from the sweep of May\nembedding_dim: 4\n"
    (out / "config.yaml").write_text(mine)
    for more in ([], ["overwrite=true"]):
        with pytest.raises(FusemixError, match=r"holds config\.yaml, which would be written over"):
            train_on_made_up_latents(make_set, out, str(out / "config.yaml"), *more)
    assert content(out) == {"config.yaml": mine.encode()}


def test_a_run_goes_on_from_the_settings_in_its_own_folder(make_set, tmp_path):
    out = tmp_path / "run"
    train_on_made_up_latents(make_set, out)
    settings = out / "config.yaml"
    settings.write_text(f"# seen\n{settings.read_text()}")
    before = content(out)
    train_on_made_up_latents(make_set, out, str(settings))
    assert content(out) == before
    with pytest.raises(
        FusemixError, match=r"overwrite=true would discard .*config\.yaml, which these settings are read"
    ):
        train_on_made_up_latents(make_set, out, str(settings), "overwrite=true")
    assert content(out) == before


def test_a_run_that_is_to_be_replaced_stays_until_the_new_one_is_trained(make_set, tmp_path):
    out = tmp_path / "run"
    train_on_made_up_latents(make_set, out)
    before = content(out)
    with pytest.raises(FusemixError):
        train_on_made_up_latents(make_set, out, "overwrite=true", "optim.lr=1e30", "optim.max_epochs=3")
    assert content(out) == before
    train_on_made_up_latents(make_set, out, "overwrite=true")
    assert content(out) != before
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
