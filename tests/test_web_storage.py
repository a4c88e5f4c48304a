"""The studio's data folder: names from ids alone, nothing half-written, nothing left behind."""

import os
import stat
from pathlib import Path

import numpy as np
import pytest

from impasto.errors import OutputError
from impasto.web.storage import Live, Storage, is_id, new_id


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../x", "a" * 21, "a" * 23, "a" * 21 + "/", "ä" * 22]
)
def test_only_ids_become_paths(tmp_path: Path, name: str) -> None:
    """Nothing that a user could have typed gets into the file system."""
    storage = Storage(tmp_path / "data")
    assert not is_id(name)
    for place in (storage.source, storage.checkpoint, storage.live, storage.incoming):
        with pytest.raises(ValueError, match="no id"):
            place(name)
    with pytest.raises(ValueError, match="no process"):
        storage.lock("../x")


def test_ids_are_ids() -> None:
    """What is drawn is taken, and is not drawn twice."""
    drawn = {new_id() for _ in range(2000)}
    assert len(drawn) == 2000
    assert all(is_id(one) for one in drawn)


def test_the_folder_is_its_users_alone(tmp_path: Path) -> None:
    """Others on the machine do not see the pictures."""
    storage = Storage(tmp_path / "data")
    for folder in (storage.root, storage.root / "pictures", storage.root / "jobs"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    """A file in the way is told in one line that names it."""
    (tmp_path / "data").write_bytes(b"")
    with pytest.raises(OutputError, match="data"):
        Storage(tmp_path / "data")


def test_uploads_arrive_whole(tmp_path: Path) -> None:
    """An upload is a source only when it has come in, and what was under way is cleared away."""
    storage = Storage(tmp_path)
    whole, half = new_id(), new_id()
    storage.incoming(whole).write_bytes(b"picture")
    storage.incoming(half).write_bytes(b"pict")
    assert not storage.source(whole).exists()
    storage.keep_incoming(whole)
    storage.clear_incoming()
    assert storage.source(whole).read_bytes() == b"picture"
    assert list((tmp_path / "incoming").iterdir()) == []


def test_live_pictures(tmp_path: Path) -> None:
    """The newest live picture is read as it was written; a damaged one is none."""
    storage, job = Storage(tmp_path), new_id()
    assert storage.read_live(job) is None
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    storage.write_live(job, Live(1, pixels))
    storage.write_live(job, Live(2, pixels[:, ::-1]))
    found = storage.read_live(job)
    assert found is not None
    assert found.version == 2
    assert np.array_equal(found.pixels, pixels[:, ::-1])
    data = storage.live(job).read_bytes()
    for damaged in (b"", data[:10], data[:-1], b"x" + data[1:]):
        storage.live(job).write_bytes(damaged)
        assert storage.read_live(job) is None


def test_old_files_are_found_by_id(tmp_path: Path) -> None:
    """Files without a record are found once they are old, and go with all of their kind."""
    storage, picture, job, fresh = Storage(tmp_path), new_id(), new_id(), new_id()
    for one in (picture, fresh):
        storage.make_room(one)
        for place in (storage.source(one), storage.thumb(one), storage.view(one)):
            place.write_bytes(b"x")
    storage.checkpoint(job).write_bytes(b"x")
    (tmp_path / "pictures" / "note.txt").write_bytes(b"x")
    for place in (storage.source(picture), storage.thumb(picture), storage.checkpoint(job)):
        os.utime(place, (0, 0))
    assert list(storage.old_pictures()) == [picture]
    assert list(storage.old_jobs()) == [job]
    storage.remove_picture(picture)
    storage.remove_job(job)
    assert list(storage.old_pictures(-10)) == [fresh]
    assert list(storage.old_jobs(-10)) == []
    assert storage.free_bytes() > 0
