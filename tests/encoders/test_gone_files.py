"""Files that are gone since they were listed: single ones are set aside, and a folder that is gone ends the run."""

import pyarrow as pa
import pytest
from extracting import Letters, run

from fusemix.datasets.pairs import file_reader
from fusemix.encoders import trouble
from fusemix.errors import MachineError
from fusemix.interfaces import Items


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch):
    monkeypatch.setattr(trouble, "WAITS_SEC", (0.0, 0.0, 0.0))


@pytest.fixture
def texts_on_disk(tmp_path):
    folder = tmp_path / "mounted"
    folder.mkdir()
    paths = [folder / f"{number}.txt" for number in range(30)]
    for path in paths:
        path.write_bytes(b"rough")
    table = pa.table({"id": [path.name for path in paths], "path": [str(path) for path in paths]})
    return folder, Items("touch", table, file_reader(table))


@pytest.mark.parametrize("rows", [[0], [29], [3, 4, 5], [2, 9, 16, 28]])
def test_single_files_that_are_gone_are_set_aside(texts_on_disk, rows):
    folder, items = texts_on_disk
    for row in rows:
        (folder / f"{row}.txt").unlink()
    (encoded,) = run(items, Letters(), batch_size=2)
    assert [item.id for item in encoded.rejected] == [f"{row}.txt" for row in rows]


@pytest.mark.parametrize("seen", [0, 13])
def test_a_folder_that_is_not_mounted_ends_the_run_and_its_files_are_read_once_it_is_back(texts_on_disk, seen):
    folder, items = texts_on_disk
    away = folder.with_name("away")

    class Unmounting(Letters):
        def encode(self, batch):
            if len(self.batches) == seen // 2:
                folder.rename(away)
            return super().encode(batch)

    if seen == 0:
        folder.rename(away)
    with pytest.raises(
        MachineError, match=r"No such file.* neither can the 8 items around it\. Is the disk or the fold"
    ):
        run(items, Letters() if seen == 0 else Unmounting(), batch_size=2)
    away.rename(folder)
    (encoded,) = run(items, Letters(), batch_size=2)
    assert not encoded.rejected


@pytest.mark.parametrize("first_bad", [3, 16])
def test_a_folder_that_is_taken_away_within_a_window_costs_none_of_its_files(texts_on_disk, first_bad):
    folder, items = texts_on_disk

    def read(row):
        if row == first_bad and folder.exists():
            folder.rename(folder.with_name("away"))
        return items.read(row)

    with pytest.raises(MachineError, match="neither can the 8 items around it"):
        run(Items("touch", items.table, read), Letters(), batch_size=30)


def test_files_that_are_away_for_a_moment_are_not_set_aside(texts_on_disk):
    folder, items = texts_on_disk
    (folder / "9.txt").rename(folder / "away")

    def read(row):
        if row == 20:
            (folder / "away").rename(folder / "9.txt")
        return items.read(row)

    with pytest.raises(MachineError, match=r"'9\.txt' could not be read .* and now it can: .* was away for a moment"):
        run(Items("touch", items.table, read), Letters(), batch_size=30)
