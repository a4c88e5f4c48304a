"""The painter: every job ends as its owner wishes, with what was reached, whatever happens."""

from __future__ import annotations

import errno
import json
import math
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from torch import OutOfMemoryError

from impasto.errors import OptionError, OutputError, WeightsError
from impasto.images import read_image
from impasto.objective import Terms
from impasto.options import make_options
from impasto.run import Stylization, stylize
from impasto.web import painter as module
from impasto.web import storage
from impasto.web.entities import Job, Note, Picture
from impasto.web.painter import Painter, StoppedError
from impasto.web.records import Records
from impasto.web.studio import Seen, job_out
from tiny_networks import write_tiny
from workroom import Workroom

Interrupting = Callable[[int, bool, Callable[[], None]], AbstractContextManager[None]]

TINY = {"size": 24, "single_level": True, "content_layers": "relu2_1", "start": "content"}


class Studio(Workroom):
    """A painter that tells its evaluations, with a photo and a painting to upload."""

    def __init__(self, folder: Path, files: tuple[Path, Path]) -> None:
        super().__init__(folder, "evaluations_done")
        self.files = files

    def picture(self, path: Path, kind: Any = "photo", name: str = "") -> str:
        """An upload that the reader has read."""
        return self.upload(path, kind, name, (40, 30))

    def ask(self, evaluations: int = 6, **values: Any) -> str:
        """Queues a tiny job of two uploads."""
        request = {
            "photo": self.picture(self.files[0], "photo", "Große Katze.png"),
            "styles": [self.picture(self.files[1], "style", '../../"Maler\\.png')],
            "options": {**TINY, "evaluations": evaluations, **values.pop("options", {})},
            **values,
        }
        return self.records.add_job(self.owner, request).id

    def stop(self) -> None:
        """The server is gone."""
        self.painter.stopping = True

    def result(self, job: Job) -> Picture:
        """The result of a job."""
        assert job.result is not None
        return self.records.picture(job.result)

    def pixels(self, job: Job) -> Any:
        """The result's pixels, 16 bits."""
        return read_image(self.storage.master(self.result(job).id)).pixels


@pytest.fixture
def studio(files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Studio:
    """A studio with a narrow network, whose painter tells every evaluation."""
    monkeypatch.setattr(module, "TELL_EVERY", 0.0)
    return Studio(tmp_path / "data", files)


def test_the_result_is_the_command_lines(studio: Studio) -> None:
    """A job ends with the picture that the same options make elsewhere, in 16 bits, with a view, a
    thumbnail and the settings inside, which name pictures as their owner does."""
    job = studio.ask()
    done = studio.paint()
    assert (done.state, done.fault, done.id) == ("done", None, job)
    picture = studio.result(done)
    expected = stylize(*studio.files, make_options({**TINY, "evaluations": 6}))
    found = read_image(studio.storage.master(picture.id))
    assert found.bits == 16
    assert np.abs(found.pixels - expected.bitmap.pixels).max() <= 0.5 / 65535 + 1e-7
    assert (picture.width, picture.height) == (24, 18)
    assert picture.bytes == studio.storage.master(picture.id).stat().st_size
    assert Image.open(studio.storage.view(picture.id)).size == (24, 18)
    assert Image.open(studio.storage.thumb(picture.id)).size == (24, 18)
    assert found.settings is not None
    assert found.settings["content"]["path"] == "Große Katze.png"
    assert found.settings["styles"][0]["path"] == '"Maler\\.png'
    assert str(studio.storage.root) not in json.dumps(found.settings)
    assert [row[0] for row in done.losses] == [1, 2, 3, 4, 5, 6]
    best = min(loss for _, loss, *_ in done.losses if loss is not None)
    assert best == pytest.approx(expected.settings["result"]["loss"])
    assert studio.wire.done() == [1, 2, 3, 4, 5, 6]
    assert not studio.storage.checkpoint(job).exists()


def test_begins_with_its_preview(studio: Studio, tmp_path: Path) -> None:
    """A job that is to begin with its preview does so, also after a pause, where there is a network
    for it; without one it begins with the photo."""
    options = {name: value for name, value in TINY.items() if name != "start"}

    def ask() -> str:
        photo = studio.picture(studio.files[0])
        style = studio.picture(studio.files[1], "style")
        request = {"photo": photo, "styles": [style], "refine": True}
        return studio.records.add_job(
            studio.owner, {**request, "options": {**options, "evaluations": 4}}
        ).id

    folder = write_tiny(tmp_path / "networks")
    studio.painter.transfer_networks = str(folder)
    job = ask()
    studio.wire.at[2] = studio.wish("pause", job)
    assert studio.paint().state == "paused"
    studio.records.resume(job)
    done = studio.paint()
    assert (done.state, done.note) == ("done", None)
    values = make_options({**options, "evaluations": 4})
    network = str(folder / "any.safetensors")
    expected = stylize(*studio.files, values, refine=network)
    assert np.abs(studio.pixels(done) - expected.bitmap.pixels).max() <= 0.5 / 65535 + 1e-7
    settings = read_image(studio.storage.master(studio.result(done).id)).settings
    assert settings is not None
    assert settings["refine"]["name"] == "any"
    assert str(tmp_path) not in json.dumps(settings)

    (folder / "any.safetensors").write_bytes(b"these are only words")
    plain = stylize(*studio.files, values)
    for given in (str(folder), None):
        studio.painter.transfer_networks = given
        ask()
        done = studio.paint()
        assert done.state == "done"
        assert np.abs(studio.pixels(done) - plain.bitmap.pixels).max() <= 0.5 / 65535 + 1e-7


def test_begins_with_the_network_that_knows_its_style(studio: Studio, tmp_path: Path) -> None:
    """Where the network of built-in styles lacks the job's, the one for any style makes the
    start, as it makes the preview."""
    folder = write_tiny(tmp_path / "networks", ["waves"])
    studio.painter.transfer_networks = str(folder)
    options = {name: value for name, value in TINY.items() if name != "start"}
    for style, expected in (("waves", "styles"), ("mosaic", "any")):
        request = {
            "photo": studio.picture(studio.files[0]),
            "styles": [f"style:{style}"],
            "options": {**options, "evaluations": 2},
            "refine": True,
        }
        studio.records.add_job(studio.owner, request)
        done = studio.paint()
        assert done.state == "done"
        settings = read_image(studio.storage.master(studio.result(done).id)).settings
        assert settings is not None
        assert settings["refine"]["name"] == expected


@pytest.mark.parametrize("end", ["pause", "stop"])
def test_interrupted_is_uninterrupted(studio: Studio, end: str) -> None:
    """A job that was paused, or stopped with the server, ends in the same bytes and losses."""
    studio.ask()
    whole = studio.paint()
    job = studio.ask()
    studio.wire.at[3] = studio.wish("pause", job) if end == "pause" else studio.stop
    aside = studio.paint()
    assert aside.state == ("paused" if end == "pause" else "queued")
    assert aside.progress is not None
    assert aside.progress["evaluations_done"] == 3
    assert studio.storage.checkpoint(job).exists()
    if end == "pause":
        studio.records.resume(job)
    done = studio.paint()
    assert done.state == "done"
    assert done.losses == whole.losses
    assert np.array_equal(studio.pixels(done), studio.pixels(whole))
    assert studio.wire.done()[-3:] == [4, 5, 6]


def test_a_broken_off_evaluation_costs_only_itself(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the server is gone in the middle of an evaluation, the job goes on before that one."""
    job = studio.ask()
    evaluate = Painter.evaluate

    def broken(self: Painter, run: Stylization) -> Any:
        if run.last is not None and run.last.done == 3 and not self.stopping:
            self.stopping = True
            run.close()
            raise StoppedError
        return evaluate(self, run)

    with monkeypatch.context() as patch:
        patch.setattr(Painter, "evaluate", broken)
        assert studio.paint().state == "queued"
    done = studio.paint()
    assert (done.id, done.state) == (job, "done")
    assert [row[0] for row in done.losses] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("wish", ["pause", "cancel", None])
@pytest.mark.parametrize("told", [False, True])
def test_an_interrupt_right_after_an_evaluation_leaves_no_gap(
    studio: Studio, interrupting: Interrupting, wish: str | None, told: bool
) -> None:
    """An interrupt that comes between an evaluation and its end in the painter, before or when the
    run has told of it, costs nothing: the job's losses are complete and those of a whole job."""
    studio.ask()
    whole = studio.paint()
    job = studio.ask()

    def stop() -> None:
        if wish is None:
            studio.stop()
        else:
            studio.wish(wish, job)()
        raise StoppedError

    with interrupting(3, told, stop):
        aside = studio.paint()
    if wish == "cancel":
        result = read_image(studio.storage.master(studio.result(aside).id)).settings
        assert result is not None
        assert result["result"]["evaluations"] == len(aside.losses) == 2 + told
        assert aside.losses == whole.losses[: 2 + told]
        return
    if wish == "pause":
        assert aside.state == "paused"
        studio.records.resume(job)
    done = studio.paint()
    assert (done.id, done.state) == (job, "done")
    assert done.losses == whole.losses
    assert np.array_equal(studio.pixels(done), studio.pixels(whole))


def test_cancelling_keeps_the_best_picture(studio: Studio) -> None:
    """A job that is cancelled while it runs or while it is paused has the picture so far."""
    job = studio.ask()
    studio.wire.at[3] = studio.wish("cancel", job)
    running = studio.paint()
    assert running.state == "cancelled"
    settings = read_image(studio.storage.master(studio.result(running).id)).settings
    assert settings is not None
    assert settings["result"]["evaluations"] == 3
    job = studio.ask()
    studio.wire.at[3] = studio.wish("pause", job)
    studio.paint()
    studio.records.cancel(job)
    paused = studio.paint()
    assert (paused.id, paused.state) == (job, "cancelled")
    assert np.array_equal(studio.pixels(paused), studio.pixels(running))
    assert not studio.storage.checkpoint(job).exists()


def test_cancelling_while_it_is_being_paused(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cancel that comes while the checkpoint of a pause is written ends the job all the same."""
    job = studio.ask()
    checkpoint = Stylization.checkpoint

    def cancelled(run: Stylization, *given: Any, **named: Any) -> None:
        if run.last is not None:
            studio.records.cancel(job)
        checkpoint(run, *given, **named)

    monkeypatch.setattr(Stylization, "checkpoint", cancelled)
    studio.wire.at[3] = studio.wish("pause", job)
    aside = studio.paint()
    assert (aside.state, aside.wanted) == ("queued", "cancel")
    over = studio.paint()
    assert (over.id, over.state) == (job, "cancelled")
    assert studio.result(over).width == 24
    assert studio.wire.done() == [1, 2, 3]


def test_cancelling_before_any_evaluation(studio: Studio) -> None:
    """A job that is cancelled before anything is painted ends without a result."""
    job = studio.ask()
    taken = studio.records.take_job("cpu")
    assert taken is not None
    studio.records.cancel(job)
    studio.painter.paint(taken)
    found = studio.records.job(job)
    assert (found.state, found.result) == ("cancelled", None)


def test_another_strength_while_it_runs(studio: Studio) -> None:
    """A strength that is asked for takes effect at the next evaluation, also after a pause, and
    the result says so."""
    job = studio.ask(evaluations=8)
    studio.wire.at[2] = studio.wish("set_strength", job, 0.25)
    studio.wire.at[5] = studio.wish("pause", job)
    studio.paint()
    studio.records.set_strength(job, 0.75)
    studio.records.resume(job)
    done = studio.paint()
    settings = read_image(studio.storage.master(studio.result(done).id)).settings
    assert settings is not None
    assert settings["strengths"] == [
        {"after": 2, "strength": 0.25},
        {"after": 5, "strength": 0.75},
    ]


def test_a_strength_before_the_start_is_the_options(studio: Studio) -> None:
    """A strength that was asked for while the job waited is simply that of its options."""
    job = studio.ask()
    studio.records.set_strength(job, 0.5)
    done = studio.paint()
    settings = read_image(studio.storage.master(studio.result(done).id)).settings
    assert settings is not None
    assert settings["options"]["strength"] == 0.5
    assert "strengths" not in settings


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "foreign"])
def test_a_damaged_checkpoint_begins_anew(studio: Studio, damage: str) -> None:
    """A checkpoint that cannot be read is set aside, the job says so and ends all the same."""
    job = studio.ask()
    studio.wire.at[3] = studio.stop
    studio.paint()
    path = studio.storage.checkpoint(job)
    data = bytearray(path.read_bytes())
    if damage == "flipped":
        data[len(data) // 2] ^= 1
    path.write_bytes({"cut": data[:-9], "empty": b"", "foreign": b"x" * 99}.get(damage, data))
    seen: list[str] = []
    studio.wire.at[5] = lambda: seen.append("painted anew")
    done = studio.paint()
    assert done.state == "done"
    assert done.note is not None
    assert done.note.code == "began_anew"
    assert [row[0] for row in done.losses] == [1, 2, 3, 4, 5, 6]
    assert studio.wire.done()[-6:] == [1, 2, 3, 4, 5, 6]
    assert seen


def full(*_: Any, **__: Any) -> None:
    """Fails as a full disk makes it fail."""
    raise OutputError("x: the disk is full; free some space") from OSError(errno.ENOSPC, "full")


def test_a_full_disk_at_the_end_loses_nothing(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the result cannot be written the job is put aside with the reason, and ends when it is
    let go on; no half of a result is left."""
    job = studio.ask()
    with monkeypatch.context() as patch:
        patch.setattr(storage, "write_whole", full)
        aside = studio.paint()
    assert (aside.state, aside.result) == ("paused", None)
    assert aside.note is not None
    assert aside.note.code == "no_room_at_end"
    assert list((studio.storage.root / "pictures").rglob("*.png")) == []
    studio.records.resume(job)
    done = studio.paint()
    assert (done.state, done.note) == ("done", None)
    assert studio.wire.done() == [1, 2, 3, 4, 5, 6]


def test_a_full_disk_at_the_start_spends_nothing(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where not even the first checkpoint can be written, nothing is painted for nothing."""
    job = studio.ask()
    with monkeypatch.context() as patch:
        patch.setattr(Stylization, "checkpoint", full)
        aside = studio.paint()
    assert aside.state == "paused"
    assert aside.note is not None
    assert aside.note.code == "no_room"
    assert studio.wire.done() == []
    studio.records.resume(job)
    assert studio.paint().state == "done"


def test_a_full_disk_midway_is_told_and_the_run_goes_on(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checkpoint that cannot be written costs no run; the job says that it is not saved."""
    job = studio.ask()
    monkeypatch.setattr(module, "CHECKPOINT_EVERY", 0.0)
    monkeypatch.setattr(module, "CHECKPOINT_SHARE", 1e9)
    checkpoint, notes = Stylization.checkpoint, list[Note | None]()
    studio.wire.at[2] = lambda: monkeypatch.setattr(Stylization, "checkpoint", full)
    studio.wire.at[4] = lambda: notes.append(studio.records.job(job).note)
    studio.wire.at[5] = lambda: monkeypatch.setattr(Stylization, "checkpoint", checkpoint)
    done = studio.paint()
    assert notes[0] is not None
    assert notes[0].code == "no_room"
    assert (done.state, done.note) == ("done", None)


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ({"options": {"size": 0}}, "option", "--size"),
        ({"options": {"nonsense": 1}}, "option", "nonsense"),
        ({"photo": None, "options": {"strength": 0.5}}, "option", "strength"),
        ({"styles": ["style:no-such"]}, "source", "no-such"),
        ({"styles": ["../../etc/passwd"]}, "source", "deleted"),
        ({"photo": "x" * 22}, "source", "deleted"),
    ],
)
def test_what_cannot_be_done_fails_in_one_line(
    studio: Studio, change: dict[str, Any], code: str, words: str
) -> None:
    """A job that asks for the impossible fails with its reason, and the painter goes on."""
    studio.ask(**change)
    failed = studio.paint()
    assert failed.state == "failed"
    assert failed.fault is not None
    assert failed.fault.code == code
    assert words in failed.fault.message
    assert str(studio.storage.root) not in failed.fault.message
    studio.ask()
    assert studio.paint().state == "done"


def test_a_fault_of_an_option_keeps_its_reason(studio: Studio) -> None:
    """What is wrong with an option is told of a job as of a request: by a key with its values."""
    studio.ask(options={"size": 0})
    fault = studio.paint().fault
    with pytest.raises(OptionError) as caught:
        make_options({"size": 0})
    assert fault is not None
    assert caught.value.reason == "too_small"
    assert (fault.reason, fault.values) == ("too_small", caught.value.values)
    told = job_out(
        Seen(studio.records.job(studio.records.jobs(studio.owner).jobs[0].id), None, None)
    )
    assert told.fault is not None
    assert (told.fault.field, told.fault.reason) == ("size", "too_small")
    assert told.fault.values == caught.value.values


def test_pictures_of_others_are_nobodys(studio: Studio) -> None:
    """A job cannot use another owner's picture, though it knows its id."""
    foreign = studio.picture(studio.files[0])
    studio.owner = studio.records.add_owner().id
    studio.ask(photo=foreign)
    failed = studio.paint()
    assert failed.fault is not None
    assert failed.fault.code == "source"


def test_damaged_pictures_are_named_as_their_owner_does(studio: Studio) -> None:
    """A picture that turns out to be damaged is told by its owner's name for it."""
    studio.files[0].write_bytes(studio.files[0].read_bytes()[:200])
    studio.ask()
    failed = studio.paint()
    assert failed.fault is not None
    assert failed.fault.message.startswith("Große Katze.png: ")
    assert failed.fault.code == "unreadable"


def test_memory_that_runs_out_fails_in_one_line(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the engine can do with no less memory, the job fails with the engine's line."""
    from impasto.objective import Objective

    def hungry(*_: Any) -> None:
        raise MemoryError

    job = studio.ask()
    studio.wire.at[3] = lambda: patch.setattr(Objective, "evaluate", hungry)
    with monkeypatch.context() as patch:
        failed = studio.paint()
    assert failed.fault is not None
    assert failed.fault.code == "out_of_memory"
    assert "out of memory" in failed.fault.message
    # With more memory it goes on.
    studio.records.again(job)
    assert studio.paint().state == "done"
    assert studio.wire.done() == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("how", ["a run", "its result", "its checkpoint"])
def test_memory_that_runs_out_once_costs_no_job(
    studio: Studio, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """A job that ran out of memory goes on by itself from its checkpoint, with less of it."""
    from impasto.objective import Objective

    owner = {"a run": Objective, "its result": storage, "its checkpoint": module}[how]
    name = {"a run": "evaluate", "its result": "encode_image", "its checkpoint": "from_checkpoint"}
    tries, allowances = [0], list[int | None]()

    def once(real: Any) -> Any:
        def hungry(*given: Any, **named: Any) -> Any:
            tries[0] += 1
            # The engine itself tries an evaluation several times, with less each time.
            if tries[0] == 1 or (how == "a run" and not allowances):
                raise MemoryError
            return real(*given, **named)

        return hungry

    if how != "a run":
        monkeypatch.setattr(owner, name[how], once(getattr(owner, name[how])))
    from_checkpoint = module.from_checkpoint

    def resumed(*given: Any, memory: int | None, **named: Any) -> Stylization:
        allowances.append(memory)
        return from_checkpoint(*given, memory=memory, **named)

    monkeypatch.setattr(module, "from_checkpoint", resumed)
    job = studio.ask()
    if how == "a run":
        # Only now, so that it is an evaluation in the middle that finds no room.
        studio.wire.at[3] = lambda: monkeypatch.setattr(
            Objective, "evaluate", once(Objective.evaluate)
        )
    if how == "its checkpoint":
        studio.wire.at[3] = studio.stop
        assert studio.paint().state == "queued"
    done = studio.paint()
    assert (done.id, done.state, done.fault) == (job, "done", None)
    assert done.note is not None
    assert done.note.code == "less_memory"
    assert [row[0] for row in done.losses] == [1, 2, 3, 4, 5, 6]
    assert studio.wire.done() == [1, 2, 3, 4, 5, 6]
    assert isinstance(allowances[-1], int)


def test_memory_that_runs_out_at_the_end_loses_nothing(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the finished picture does not fit into memory, that is said, and it can be had from
    the checkpoint when there is more."""

    def hungry(*_: Any, **__: Any) -> None:
        raise MemoryError

    job = studio.ask()
    with monkeypatch.context() as patch:
        patch.setattr(storage, "encode_image", hungry)
        failed = studio.paint()
    assert failed.fault is not None
    assert (failed.fault.code, failed.result) == ("out_of_memory", None)
    studio.records.again(job)
    assert studio.paint().state == "done"


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Terms(math.nan, 0.0, 0.0, 0.0), "not_finite"),
        (OSError(errno.ENOSPC, "No space left on device"), "disk_full"),
        (OutOfMemoryError("CUDA out of memory"), "out_of_memory"),
    ],
)
def test_faults_that_pages_have_words_for(
    studio: Studio, monkeypatch: pytest.MonkeyPatch, fault: Any, code: str
) -> None:
    """What often goes wrong has a key of its own, so that no page need know the engine's words."""
    from impasto.objective import Objective

    evaluate = Objective.evaluate

    def hindered(self: Objective, point: Any) -> Any:
        if isinstance(fault, Exception):
            raise fault
        return fault, evaluate(self, point)[1]

    monkeypatch.setattr(Objective, "evaluate", hindered)
    studio.ask()
    failed = studio.paint()
    assert failed.fault is not None
    assert failed.fault.code == code


def test_an_unexpected_fault_ends_the_job_and_the_process(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bug fails its job with its name, and a fresh process takes the next one."""
    from impasto.objective import Objective

    def buggy(*_: Any) -> None:
        raise ZeroDivisionError("by\nzero")

    job = studio.ask()
    taken = studio.records.take_job("cpu")
    assert taken is not None
    monkeypatch.setattr(Objective, "evaluate", buggy)
    assert studio.painter.paint(taken) is False
    found = studio.records.job(job)
    assert found.fault is not None
    assert found.fault.message == "an unexpected fault, ZeroDivisionError: by"


def test_live_pictures_only_for_those_who_watch(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Live pictures are written while somebody watches, count up, and are gone in the end."""
    monkeypatch.setattr(module, "LIVE_EVERY", 0.0)
    monkeypatch.setattr(module, "LIVE_SHARE", 1e9)
    job = studio.ask()
    seen: list[Any] = []

    def look() -> None:
        seen.append(studio.storage.read_live(job))

    studio.wire.at = {
        1: look,
        2: lambda: studio.painter.watched.add(job),
        4: look,
        5: lambda: studio.painter.watched.discard(job),
        6: look,
    }
    studio.paint()
    assert seen[0] is None
    assert [live.version for live in seen[1:]] == [2, 3]
    assert seen[1].pixels.shape == (18, 24, 3)
    assert studio.storage.read_live(job) is None


def test_all_roles_of_pictures(studio: Studio, make_png: Callable[..., Path]) -> None:
    """Masks, label colours, a start picture, a fine style and no photo come from uploads too, and
    a result can be continued to a larger size."""
    mask = np.zeros((30, 40, 3), np.uint8)
    mask[:, :20] = (255, 0, 0)
    path = studio.files[0].with_name("mask.png")
    Image.fromarray(mask).save(path)
    labels = studio.picture(path, "mask", "mask.png")
    cover = studio.files[0].with_name("cover.png")
    Image.fromarray(mask[:, :, 0]).save(cover)
    style = studio.picture(studio.files[1], "style", "s.png")
    studio.ask(
        masks=[f"{labels}#ff0000"],
        styles=[style, "style:mosaic"],
        start=studio.picture(make_png("start.png", 24, 18, 5)),
        style_masks=[None, studio.picture(cover, "mask")],
        options={"start": "image"},
    )
    first = studio.paint()
    assert (first.state, first.fault) == ("done", None)
    studio.ask(photo=None, styles=[style], options={"start": "noise", "content_weight": 0})
    assert studio.paint().state == "done"
    first = studio.ask()
    small = studio.paint()
    assert small.id == first
    studio.ask(coarse=small.result, options={"size": 48, "single_level": False})
    large = studio.paint()
    assert (large.state, large.fault) == ("done", None)
    assert studio.result(large).width == 48
    settings = read_image(studio.storage.master(studio.result(large).id)).settings
    assert settings is not None
    assert settings["coarse"]["path"] == "result"


def test_jobs_wait_while_records_cannot_be_used(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the end of a job cannot be noted, the painter tries until it can."""
    import sqlite3

    from sqlalchemy.exc import OperationalError

    monkeypatch.setattr(module, "RETRY_EVERY", 0.0)
    finish, tries = Records.finish, [0]

    def failing(self: Records, *given: Any, **named: Any) -> Job:
        tries[0] += 1
        if tries[0] < 3:
            raise OperationalError("x", {}, sqlite3.OperationalError("database or disk is full"))
        return finish(self, *given, **named)

    monkeypatch.setattr(Records, "finish", failing)
    studio.ask()
    assert studio.paint().state == "done"
    assert tries[0] == 3


def test_a_lost_answer_takes_no_second_job(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the database takes a change but its answer is lost, the job that was taken is painted
    and not forgotten, and one that was put aside keeps its checkpoint."""
    from sqlalchemy.exc import OperationalError

    monkeypatch.setattr(module, "RETRY_EVERY", 0.0)
    lost = set[str]()

    def losing(name: str) -> Any:
        real = getattr(Records, name)

        def change(self: Records, *given: Any, **named: Any) -> Any:
            found = real(self, *given, **named)
            if name not in lost:
                lost.add(name)
                raise OperationalError("COMMIT", {}, ConnectionError("the server closed it"))
            return found

        return change

    for name in "take_job", "put_aside", "finish":
        monkeypatch.setattr(Records, name, losing(name))
    first, second = studio.ask(), studio.ask()
    painter = studio.painter
    job = painter.insist(painter._take)
    assert job is not None
    assert job.id == first
    assert studio.records.job(second).state == "queued"
    studio.wire.at[3] = studio.wish("pause", first)
    painter.paint(job)
    assert studio.records.job(first).state == "paused"
    assert studio.storage.checkpoint(first).exists()
    studio.records.pause(second)
    studio.records.resume(first)
    done = studio.paint()
    assert (done.id, done.state) == (first, "done")
    assert not studio.storage.checkpoint(first).exists()
    assert studio.wire.done() == [1, 2, 3, 4, 5, 6]
    assert lost == {"take_job", "put_aside", "finish"}


def test_jobs_wait_for_a_connection(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where all connections to the database are taken, the painter tries until one is free."""
    from sqlalchemy.exc import TimeoutError as PoolTimeoutError

    monkeypatch.setattr(module, "RETRY_EVERY", 0.0)
    answers = [PoolTimeoutError("all connections are taken"), None]

    def look() -> str:
        if (error := answers.pop(0)) is not None:
            raise error
        return "found"

    assert studio.painter.insist(look) == "found"


def test_an_ended_predecessor_is_no_crash(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers that die with their painters, however often, do not set a job aside."""
    job = studio.ask()
    monkeypatch.setattr(Painter, "_warm_up", lambda _: True)
    monkeypatch.setattr(Painter, "_listen", lambda _: None)
    studio.painter.stopping = True
    for _ in range(4):
        taken = studio.records.take_job("cpu")
        assert taken is not None
        assert taken.id == job
        assert studio.painter.run() == 0
        found = studio.records.job(job)
        assert (found.state, found.crashes) == ("queued", 0)


def test_a_painter_that_cannot_paint_takes_no_job(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without weights a painter says why instead of being ready, leaves jobs in the queue, and
    begins when there are some."""
    job, tries = studio.ask(), [0]
    load = module.Networks.of

    def missing(self: Any, *given: Any) -> Any:
        tries[0] += 1
        if tries[0] < 3:
            assert studio.records.job(job).state == "queued"
            raise WeightsError("vgg19: there are no weights; run impasto weights convert")
        return load(self, *given)

    def tell(message: Mapping[str, Any]) -> None:
        studio.wire.said.append(dict(message))
        if message == {"job": job}:
            studio.painter.stopping = True

    monkeypatch.setattr(module.Networks, "of", missing)
    monkeypatch.setattr(module, "WARM_EVERY", 0.0)
    monkeypatch.setattr(Painter, "_listen", lambda _: None)
    monkeypatch.setattr(studio.wire, "tell", tell)
    assert studio.painter.run() == 0
    cannot = {"cannot": "vgg19: there are no weights; run impasto weights convert"}
    assert studio.wire.said[:3] == [cannot, cannot, {"ready": True}]
