"""Clips in the studio: sent, looked at, painted frame by frame, and taken away as films."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("av")
pytest.importorskip("cv2")

from impasto import painters
from impasto.clips import open_clip
from impasto.errors import OptionError, OutputError
from impasto.images import Bitmap, read_image
from impasto.options import make_options
from impasto.painters import OptimizerPainter, Task
from impasto.run import stylize
from impasto.web import filming
from impasto.web.config import load_options
from impasto.web.entities import Job
from impasto.web.forms import check_request
from impasto.web.reader import read_clip
from impasto.web.receiving import check_clip
from impasto.web.schema import JobRequest
from impasto.web.security import Refused
from impasto.web.storage import Storage, new_id
from impasto.web.studio import Seen, job_out
from moving import drifting, make_clip, packets_of
from studio_stand_ins import Served, Visit, png_bytes, served
from tiny_networks import write_tiny
from workroom import Workroom

FRAMES = 6


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Six frames with sound."""
    return make_clip(tmp_path / "a.mp4", [drifting(i) for i in range(FRAMES)], sound="aac")


# --- sent and looked at --------------------------------------------------------------------------


def _sent(tmp_path: Path, path: Path) -> tuple[Storage, str]:
    storage, picture = Storage(tmp_path / "data"), new_id()
    storage.make_room(picture)
    storage.source(picture).write_bytes(path.read_bytes())
    return storage, picture


def test_a_clip_is_shown_by_its_first_frame(tmp_path: Path, clip: Path) -> None:
    """The reader says its size and makes a thumbnail of the first frame."""
    storage, picture = _sent(tmp_path, clip)
    assert read_clip(storage, picture, 10**6, 60) == {"width": 64, "height": 48, "has_alpha": False}
    shown = read_image(storage.thumb(picture)).pixels
    assert np.abs(shown - drifting(0).transpose(2, 0, 1) / 255).mean() < 0.04


def test_clips_that_cannot_be_painted_are_refused(tmp_path: Path, clip: Path) -> None:
    """Too long, too large, and what is no clip inside; each by a key of its own."""
    storage, picture = _sent(tmp_path, clip)
    assert read_clip(storage, picture, 10**6, 0.1)["fault"]["code"] == "clip_long"
    assert read_clip(storage, picture, 1000, 60)["fault"]["code"] == "too_large"
    storage.source(picture).write_bytes(clip.read_bytes()[:200])
    assert read_clip(storage, picture, 10**6, 60)["fault"]["code"] == "clip_unreadable"


def test_what_leads_to_other_files_is_refused(tmp_path: Path, clip: Path) -> None:
    """FFmpeg would follow a list to another visitor's clip, whatever its first bytes were."""
    storage, picture = _sent(tmp_path, clip)
    leading = picture[:2] + new_id()[2:]
    other = storage.source(leading)
    other.write_text(f"ffconcat version 1.0\nfile {storage.source(picture).name}\n")
    assert open_clip(other).facts.width == 64
    assert read_clip(storage, leading, 10**6, 60)["fault"]["code"] == "clip_unreadable"
    other.unlink()
    assert read_clip(storage, leading, 10**6, 60)["fault"]["code"] == "missing"


def test_a_clip_that_does_not_say_its_length_is_measured(tmp_path: Path) -> None:
    """A stream without a duration, as browsers record it, is refused where it is too long."""
    path = make_clip(tmp_path / "a.mkv", [drifting(i) for i in range(10)], options={})
    data = bytearray(path.read_bytes())
    place = data.find(b"\x44\x89")  # Matroska's Duration, which becomes a void element
    assert place > 0
    data[place : place + 2] = b"\x44\x8a"
    path.write_bytes(data)
    storage, picture = _sent(tmp_path, path)
    assert read_clip(storage, picture, 10**6, 0.2)["fault"]["code"] == "clip_long"
    assert "fault" not in read_clip(storage, picture, 10**6, 1)


@pytest.mark.parametrize("ending", ["mp4", "mov", "mkv", "avi", "ts", "flv", "gif"])
def test_containers_are_known_by_their_first_bytes(tmp_path: Path, ending: str) -> None:
    """Every container that clips usually have is taken."""
    codec, form = ("gif", "rgb8") if ending == "gif" else ("mpeg4", "yuv420p")
    if ending == "flv":
        codec = "flv"
    frames = [drifting(i) for i in range(3)]
    path = make_clip(tmp_path / f"a.{ending}", frames, codec=codec, pixel_format=form)
    check_clip(path.read_bytes()[:512])


@pytest.mark.parametrize(
    "data",
    [b"", b"#EXTM3U\nfile:///etc/passwd", b"ffconcat version 1.0\n", png_bytes(), b"G" * 100],
)
def test_what_is_no_clip_is_not_taken(data: bytes) -> None:
    """Playlists and scripts, which lead to other files, and pictures that stand still."""
    with pytest.raises(Refused, match="no clip"):
        check_clip(data)


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[Served]:
    """A running studio with stand-ins."""
    with served(tmp_path / "data", max_clip="5000000") as found:
        yield found


def _clip_of(studio: Served, visit: Visit, data: bytes) -> Any:
    """The answer to an upload, which the stand-in reader cannot read."""

    def read(picture: str) -> None:
        studio.workers.records.picture_ready(picture, 64, 48, has_alpha=False)

    studio.workers.read = read
    return visit.client.post("/api/pictures?kind=clip&name=a.mp4", content=data)


def test_clips_have_limits_of_their_own(studio: Served, clip: Path, monkeypatch: Any) -> None:
    """A clip may be larger than a picture; what is no clip, too much of one, and any where the
    studio cannot read them is refused."""
    visit = studio.visit()
    limits = visit.client.get("/api/me").json()
    assert limits["clips"] is True
    assert limits["limits"]["clip_bytes"] == 5_000_000
    assert _clip_of(studio, visit, clip.read_bytes()).json()["kind"] == "clip"
    assert _clip_of(studio, visit, png_bytes()).json()["detail"]["code"] == "not_a_clip"
    large = clip.read_bytes()[:100] + bytes(5_000_000)
    assert _clip_of(studio, visit, large).status_code == 413
    studio.studio.takes_clips = False
    assert _clip_of(studio, visit, clip.read_bytes()).json()["detail"]["code"] == "no_clips"


def test_a_clip_stands_only_where_it_may(studio: Served, clip: Path) -> None:
    """It is the photo of a job with `video`, nothing else; and such a job has a clip."""
    visit = studio.visit()
    studio.workers.painting = False
    mine = _clip_of(studio, visit, clip.read_bytes()).json()["id"]

    def ask(**request: Any) -> Any:
        whole = {"photo": mine, "styles": ["style:waves"], **request}
        return visit.client.post("/api/jobs", json=whole)

    assert ask(video={}).status_code == 201
    job = ask(video={"engine": "optimizer", "hold": 3}).json()
    assert job["request"]["video"] == {"engine": "optimizer", "hold": 3.0, "sound": True}
    assert ask().status_code == 422
    assert ask(photo="sample:cat", video={}).status_code == 422
    assert ask(styles=[mine], video={}).status_code == 422
    assert ask(video={}, options={"evaluations": 9}).status_code == 422
    assert ask(video={}, refine=True).status_code == 422
    assert ask(video={"engine": "magic"}).status_code == 422
    change = visit.client.patch(f"/api/jobs/{job['id']}", json={"strength": 0.5})
    assert change.status_code == 409
    assert visit.client.get(f"/api/jobs/{job['id']}/film").status_code == 404
    assert visit.client.get(f"/api/jobs/{job['id']}/file").status_code == 409
    assert visit.client.get(f"/api/jobs/{job['id']}/frames/1").status_code == 404


def test_finished_frames_are_shown(studio: Served, clip: Path) -> None:
    """A frame that is painted comes as a picture, to its owner alone; one that is not painted yet
    does not."""
    visit = studio.visit()
    studio.workers.painting = False
    mine = _clip_of(studio, visit, clip.read_bytes()).json()["id"]
    request = {"photo": mine, "styles": ["style:waves"], "video": {}}
    job = visit.client.post("/api/jobs", json=request).json()["id"]
    place = studio.studio.storage.reel(job) / "film.mp4.frames" / "1" / "000002.png"
    place.parent.mkdir(parents=True)
    Image.fromarray(drifting(1)).save(place)
    found = visit.client.get(f"/api/jobs/{job}/frames/2")
    assert (found.status_code, found.headers["content-type"]) == (200, "image/jpeg")
    shown = np.asarray(Image.open(BytesIO(found.content)), np.float32)
    assert np.abs(shown - drifting(1)).mean() < 8
    assert visit.client.get(f"/api/jobs/{job}/frames/1").status_code == 404
    assert studio.visit().client.get(f"/api/jobs/{job}/frames/2").status_code == 404


def test_a_studio_without_networks_says_so(tmp_path: Path) -> None:
    """Before a job waits for nothing."""
    limits = load_options({"networks": str(tmp_path)}, environment={})
    request = JobRequest(photo=new_id(), styles=["style:waves"], video={})  # pyright: ignore
    with pytest.raises(OptionError, match="no transfer network"):
        check_request(request, limits)


# --- painted -------------------------------------------------------------------------------------


class Room(Workroom):
    """A painter that tells its frames, with a clip to upload."""

    def __init__(self, folder: Path, clip: Path) -> None:
        super().__init__(folder, "frames_done")
        self.clip = clip

    def ask(
        self,
        styles: tuple[str, ...] = ("style:mosaic",),
        options: dict[str, Any] | None = None,
        **video: Any,
    ) -> str:
        """Queues a clip of 48 px."""
        request = {
            "photo": self.upload(self.clip, "clip", "Große Katze.mp4", (64, 48)),
            "styles": list(styles),
            "options": {"size": 48, **(options or {})},
            "video": {"engine": "network", "hold": 40.0, "sound": True, **video},
        }
        return self.records.add_job(self.owner, request).id

    def film(self, job: Job) -> Path:
        """The film of a job that is done."""
        assert job.state == "done", job.fault
        assert job.result is not None
        return self.storage.film(job.result)


@pytest.fixture
def room(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Room:
    """A painter that tells every frame, with tiny networks."""
    monkeypatch.setattr(filming, "TELL_EVERY", 0.0)
    room = Room(tmp_path / "data", clip)
    room.painter.transfer_networks = str(write_tiny(tmp_path / "networks", ("mosaic", "night-sky")))
    return room


def pixels_of(film: Path) -> list[Any]:
    """All frames of a film."""
    return [frame.pixels for frame in open_clip(film).frames()]


def test_a_clip_becomes_a_film(room: Room) -> None:
    """It has the clip's times and sound, tells its frames, is found by a picture, and names the
    clip as its owner does; what it was painted in is gone."""
    job = room.ask()
    done = room.paint()
    film = room.film(done)
    assert film.suffix == ".mp4"
    assert room.wire.done() == list(range(1, FRAMES + 1))
    result = room.records.picture(str(done.result))
    assert (result.kind, result.width, result.height) == ("film", 48, 36)
    assert result.bytes == film.stat().st_size
    assert room.storage.thumb(result.id).is_file()
    assert packets_of(film, "audio") == packets_of(room.clip, "audio")
    times = [frame.time for frame in open_clip(film).frames(pixels=False)]
    assert times == [frame.time for frame in open_clip(room.clip).frames(pixels=False)]
    assert not room.storage.reel(job).exists()
    data = film.read_bytes()
    assert str(room.storage.root).encode() not in data
    out = job_out(Seen(done, None, result))
    assert out.progress is not None
    assert (out.progress.frames, out.progress.frames_done) == (FRAMES, FRAMES)


def test_a_paused_clip_goes_on_to_the_same_film(room: Room) -> None:
    """After a pause, or where the studio ends, only what is missing is painted."""
    room.ask()
    whole = pixels_of(room.film(room.paint()))
    for end, name in (2, "pause"), (4, "stop"):
        job = room.ask()
        room.wire.said.clear()

        def stop() -> None:
            room.painter.stopping = True

        room.wire.at[end] = room.wish("pause", job) if name == "pause" else stop
        found = room.paint()
        assert found.state == ("paused" if name == "pause" else "queued")
        assert found.progress is not None
        assert found.progress["frames_done"] == end
        assert room.storage.frame(job, end - 1) is not None
        assert room.storage.frame(job, end) is None
        if name == "pause":
            room.records.resume(job)
        again = pixels_of(room.film(room.paint()))
        assert room.wire.done() == list(range(1, FRAMES + 1))
        assert all(np.array_equal(a, b) for a, b in zip(whole, again, strict=True))


_KILLED = """
import os, signal, sys
from impasto.web import filming
from impasto.web.painter import Painter
from impasto.web.records import records_in
from impasto.web.storage import Storage

class Wire:
    def tell(self, message):
        if message.get("progress", {}).get("frames_done") == 3:
            os.kill(os.getpid(), signal.SIGKILL)

filming.TELL_EVERY = 0.0
storage = Storage(sys.argv[1])
records = records_in(storage.database)
painter = Painter(records, storage, Wire(), "cpu")
painter.transfer_networks = sys.argv[2]
painter.paint(records.take_job("cpu"))
"""


@pytest.mark.slow
def test_a_killed_painter_costs_one_frame(room: Room) -> None:
    """After a kill -9 the next painter leaves the finished frames as they are, and ends with the
    film of an uninterrupted one."""
    room.ask()
    whole = pixels_of(room.film(room.paint()))
    job = room.ask()
    command = [sys.executable, "-c", _KILLED, str(room.storage.root)]
    command.append(str(room.painter.transfer_networks))
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert room.records.job(job).state == "running"
    room.records.put_back(job)

    def kept() -> dict[int, tuple[int, int]]:
        """What tells the files of the frames apart, also where they are written again."""
        found = {n: room.storage.frame(job, n) for n in range(FRAMES)}
        stats = {n: place.stat() for n, place in found.items() if place is not None}
        return {n: (stat.st_ino, stat.st_mtime_ns) for n, stat in stats.items()}

    before, after = kept(), dict[int, tuple[int, int]]()
    assert set(before) == {0, 1, 2}
    room.wire.said.clear()
    room.wire.at[FRAMES] = lambda: after.update(kept())
    again = pixels_of(room.film(room.paint()))
    assert room.wire.done() == [4, 5, 6]
    assert {n: after[n] for n in before} == before
    assert all(np.array_equal(a, b) for a, b in zip(whole, again, strict=True))


def test_the_optimiser_paints_clips_too(room: Room, narrow: Any, tmp_path: Path) -> None:
    """With the job's options: its first frame is that of a still picture's run; and after a pause
    only what is missing is painted."""
    room.clip = make_clip(tmp_path / "b.mp4", [drifting(i) for i in range(3)])
    options = {"evaluations": 3, "content_layers": "relu2_1", "single_level": True}
    job = room.ask(("sample:coffee",), options, engine="optimizer")
    room.wire.at[2] = room.wish("pause", job)
    assert room.paint().state == "paused"
    first = room.storage.frame(job, 0)
    assert first is not None
    photo = next(open_clip(room.clip).frames(size=(48, 36)))
    values = make_options({"size": 48, **options})
    still = stylize(Bitmap(photo.pixels), "sample:coffee", values).bitmap
    assert np.abs(read_image(first).pixels - still.pixels).max() <= 1 / 255
    room.records.resume(job)
    film = pixels_of(room.film(room.paint()))
    assert room.wire.done() == [1, 2, 3]
    assert len(film) == 3
    assert np.abs(film[0] - still.pixels).mean() < 0.1


def test_paintings_are_seen_as_large_as_frames_are(
    room: Room, narrow: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A size above the clip's own changes nothing in its frames, whoever paints."""
    read, sizes = painters.read_painting, list[int]()

    def noted(source: Any, max_pixels: int, size: int) -> Bitmap:
        sizes.append(size)
        return read(source, max_pixels, size)

    monkeypatch.setattr(painters, "read_painting", noted)
    options = {"evaluations": 2, "content_layers": "relu2_1", "single_level": True}
    films = []
    for size in 64, 900:
        room.ask(("sample:coffee",), {**options, "size": size}, engine="optimizer")
        films.append(pixels_of(room.film(room.paint())))
    assert sizes == [64, 64]
    for one, other in zip(*films, strict=True):
        assert np.array_equal(one, other)


def test_a_clip_that_ran_out_of_memory_goes_on_with_less(
    room: Room, narrow: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Although the frames that are done say with how much it began."""
    paint, budgets = OptimizerPainter.paint, list[int]()

    def scarce(self: OptimizerPainter, task: Task) -> Any:
        budgets.append(self.memory)
        if task.frame.number == 1 and len(budgets) == 2:
            raise MemoryError
        return paint(self, task)

    monkeypatch.setattr(OptimizerPainter, "paint", scarce)
    options = {"evaluations": 2, "content_layers": "relu2_1", "single_level": True}
    room.ask(engine="optimizer", options=options)
    done = room.paint()
    assert len(pixels_of(room.film(done))) == FRAMES
    assert done.note is not None
    assert done.note.code == "less_memory"
    assert len(budgets) == FRAMES + 1
    assert set(budgets[2:]) != {budgets[0]}
    assert max(budgets[2:]) < budgets[0]


def test_a_cancelled_clip_leaves_nothing(room: Room) -> None:
    """While it is painted, and where it waits with frames that are done."""
    job = room.ask()
    room.wire.at[2] = room.wish("cancel", job)
    found = room.paint()
    assert (found.state, found.result) == ("cancelled", None)
    assert not room.storage.reel(job).exists()
    job = room.ask()
    room.wire.at[2] = room.wish("pause", job)
    assert room.paint().state == "paused"
    room.records.cancel(job)
    assert room.paint().state == "cancelled"
    assert not room.storage.reel(job).exists()


def test_a_full_disk_puts_a_clip_aside(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a frame or the film cannot be written the job waits, with what is done, and says so."""
    from impasto.clips import FrameFolder
    from impasto.video import ClipRun

    def full(*_: Any, **__: Any) -> Any:
        raise OutputError("the disk is full") from OSError(28, "No space left on device")

    write, finish = FrameFolder.write, ClipRun.finish
    job = room.ask()
    room.wire.at[2] = lambda: monkeypatch.setattr(FrameFolder, "write", full)
    found = room.paint()
    assert (found.state, found.note and found.note.code) == ("paused", "no_room")
    monkeypatch.setattr(FrameFolder, "write", write)
    monkeypatch.setattr(ClipRun, "finish", full)
    room.records.resume(job)
    found = room.paint()
    assert (found.state, found.note and found.note.code) == ("paused", "no_room_at_end")
    monkeypatch.setattr(ClipRun, "finish", finish)
    room.records.resume(job)
    assert len(pixels_of(room.film(room.paint()))) == FRAMES


@pytest.mark.parametrize("codec", ["pcm_u8", "pcm_f32le"])
def test_sound_that_one_container_cannot_hold_goes_into_another(
    room: Room, tmp_path: Path, codec: str
) -> None:
    """A film is Matroska where MP4 cannot have the sound, unless none is wanted."""
    frames = [drifting(i) for i in range(3)]
    room.clip = make_clip(tmp_path / "b.mkv", frames, sound=codec)
    room.ask()
    film = room.film(room.paint())
    assert film.suffix == ".mkv"
    assert packets_of(film, "audio")
    room.ask(sound=False)
    film = room.film(room.paint())
    assert film.suffix == ".mp4"
    assert open_clip(film).facts.others == ()


def test_frames_are_kept_whatever_they_are_put_into(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where MP4 cannot be written and then the disk is full, no frame is painted again."""
    from impasto.video import ClipRun

    write, full = ClipRun._write, [True]  # pyright: ignore[reportPrivateUsage]

    def fails(self: ClipRun) -> None:
        if self.output.suffix == ".mp4":
            raise OutputError("not in this container")
        if full[0]:
            raise OutputError("the disk is full") from OSError(28, "No space left on device")
        write(self)

    monkeypatch.setattr(ClipRun, "_write", fails)
    job = room.ask()
    assert room.paint().state == "paused"
    assert room.storage.frame(job, FRAMES - 1) is not None
    room.wire.said.clear()
    full[0] = False
    room.records.resume(job)
    assert room.film(room.paint()).suffix == ".mkv"
    assert room.wire.done() == []


def test_clips_that_cannot_be_painted_fail_in_one_line(room: Room, tmp_path: Path) -> None:
    """A style that no network knows; no network at all; and a clip that is gone."""
    room.painter.transfer_networks = str(tmp_path)
    room.ask()
    found = room.paint()
    assert found.state == "failed"
    assert found.fault is not None
    assert "no transfer network" in found.fault.message
    job = room.ask()
    room.storage.source(room.records.job(job).request["photo"]).unlink()
    found = room.paint()
    assert found.fault is not None
    assert found.fault.code == "source"


def test_live_pictures_of_a_clip_for_those_who_watch(room: Room) -> None:
    """The newest frame lies there as a live picture while somebody looks."""
    job = room.ask()
    room.painter.watched.add(job)
    seen: list[Any] = []
    room.wire.at[1] = lambda: seen.append(room.storage.read_live(job))
    room.paint()
    assert seen[0].pixels.shape == (36, 48, 3)
