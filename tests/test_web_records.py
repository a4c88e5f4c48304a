"""The studio's records: every job is somewhere, once, whatever happens in whatever order."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from impasto.web.database import JOBS, METADATA, OWNERS, PRESETS
from impasto.web.entities import (
    Fault,
    MissingError,
    Note,
    QueueFullError,
    RecordsError,
    StateError,
    Wanted,
    clean_name,
    named_pictures,
)
from impasto.web.records import Records, records_in
from impasto.web.storage import new_id
from postgres_server import postgres_server

DAY = 86400.0


class Clock:
    """A clock that moves on when it is told to, and a little whenever it is read."""

    def __init__(self) -> None:
        self.now = 1e9

    def __call__(self) -> float:
        """Seconds since 1970."""
        self.now += 0.001
        return self.now


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """A real PostgreSQL server."""
    with postgres_server() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgres"])
def records(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Records]:
    """Empty records, in each kind of database."""
    if request.param == "sqlite":
        made = records_in(tmp_path / "studio.sqlite3", clock=Clock())
    else:
        made = Records(request.getfixturevalue("server"), clock=Clock())
    yield made
    if request.param == "postgres":
        METADATA.drop_all(made._database._engine)
    made.close()


def ask(records: Records, owner: str, **values: object) -> str:
    """Adds a job of built-in pictures."""
    return records.add_job(owner, {"photo": "sample:cat", "styles": [], "options": {}, **values}).id


@pytest.mark.parametrize("before", ["0x1p0~\0", "inf~", "nan~", "x~", ""])
def test_pages_that_are_none(records: Records, before: str) -> None:
    """What is no mark of a page is refused by either database."""
    with pytest.raises(StateError, match="no such page"):
        records.jobs("somebody", before=before)


def test_one_job_from_queue_to_result(records: Records) -> None:
    """A job is taken, tells how far it is, and ends with a picture of its owner's."""
    owner = records.add_owner().id
    job = ask(records, owner)
    taken = records.take_job("cpu")
    assert taken is not None
    assert (taken.id, taken.state, taken.device) == (job, "running", "cpu")
    note = Note("began_anew", "it is lost: all of it")
    records.note_progress(job, {"share": 0.5}, [[1, 2.0, None, 1.5]], note=note)
    found = records.job(job)
    assert found.progress == {"share": 0.5}
    assert found.losses == [[1, 2.0, None, 1.5]]
    assert records.jobs(owner).jobs == [replace(found, losses=[])]
    assert found.note == note
    result = new_id()
    done = records.finish(job, result, (40, 30), 1234)
    assert (done.state, done.result, done.over) == ("done", result, True)
    picture = records.picture(result)
    assert (picture.owner, picture.kind, picture.state) == (owner, "result", "ready")
    assert (picture.width, picture.height, picture.bytes, picture.job) == (40, 30, 1234, job)


def test_owners_take_turns(records: Records) -> None:
    """One owner's long queue does not keep another's single job waiting for all of it."""
    first, second, third = (records.add_owner().id for _ in range(3))
    a = [ask(records, first) for _ in range(3)]
    b = [ask(records, second) for _ in range(2)]
    c = [ask(records, third)]
    told = records.places()
    order = [a[0], b[0], c[0], a[1], b[1], a[2]]
    assert [told[job] for job in order] == [1, 2, 3, 4, 5, 6]
    taken = []
    while (job := records.take_job("cpu")) is not None:
        taken.append(job.id)
        records.fail(job.id, Fault("x", "y"))
    assert taken == order


def test_a_running_job_is_its_owners_turn(records: Records) -> None:
    """Where two devices paint, the second does not go to the owner who has the first already."""
    first, second = (records.add_owner().id for _ in range(2))
    ask(records, first)
    ask(records, first)
    records.take_job("cuda:0")
    later = ask(records, second)
    taken = records.take_job("cuda:1")
    assert taken is not None
    assert taken.id == later


def test_an_interrupted_job_goes_first(records: Records) -> None:
    """A job that was broken off goes on before others begin."""
    first, second = (records.add_owner().id for _ in range(2))
    job = ask(records, first)
    ask(records, second)
    records.take_job("cpu")
    records.put_back(job)
    assert records.places()[job] == 1
    taken = records.take_job("cpu")
    assert taken is not None
    assert taken.id == job


def test_no_job_is_taken_twice(records: Records) -> None:
    """Painters that look for a job at the same moment get different ones, and all are taken."""
    owner = records.add_owner().id
    asked = {ask(records, owner) for _ in range(12)}
    gate = threading.Barrier(4)

    def take(number: int) -> list[str]:
        gate.wait()
        found = []
        while (job := records.take_job(f"cuda:{number}")) is not None:
            found.append(job.id)
        return found

    with ThreadPoolExecutor(4) as pool:
        taken = [job for found in pool.map(take, range(4)) for job in found]
    assert len(taken) == 12
    assert set(taken) == asked


def test_queue_limit_holds_against_simultaneous_asking(records: Records) -> None:
    """An owner's limit cannot be got around by asking for several jobs at once."""
    owner = records.add_owner().id
    gate = threading.Barrier(6)

    def add(_: int) -> bool:
        gate.wait()
        try:
            records.add_job(owner, {}, limit=3)
        except QueueFullError:
            return False
        return True

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(add, range(6))) == 3
    # Putting jobs aside makes no room.
    job = next(iter(records.places()))
    records.pause(job)
    with pytest.raises(QueueFullError, match="3 jobs"):
        records.add_job(owner, {}, limit=3)
    records.cancel(job)
    records.add_job(owner, {}, limit=3)


def test_three_crashes_set_a_job_aside(records: Records) -> None:
    """A job that its painter died of three times is set aside with the reason, and can be run
    again from nought."""
    owner = records.add_owner().id
    job = ask(records, owner)
    for crashes in (1, 2):
        records.take_job("cpu")
        (found,) = records.crash("cpu", "killed (signal 9)")
        assert (found.state, found.crashes, found.fault) == ("queued", crashes, None)
    records.take_job("cpu")
    (found,) = records.crash("cpu", "killed (signal 9)")
    assert found.state == "set_aside"
    assert found.fault is not None
    assert "killed (signal 9)" in found.fault.message
    assert records.take_job("cpu") is None
    again = records.again(job)
    assert (again.state, again.crashes, again.fault) == ("queued", 0, None)


def test_a_restart_of_the_machine_is_no_crash(
    records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Power cuts set no job aside."""
    owner = records.add_owner().id
    job = ask(records, owner)
    for start in range(4):
        monkeypatch.setattr("impasto.web.records.boot", lambda start=start: f"start {start}")
        assert all(one.crashes == 0 for one in records.crash("cpu", "gone"))
        taken = records.take_job("cpu")
        assert taken is not None
        assert taken.id == job


def test_only_the_jobs_of_the_device_have_crashed(records: Records) -> None:
    """A painter's death touches no job of another device's."""
    owner = records.add_owner().id
    ask(records, owner)
    other = ask(records, owner)
    records.take_job("cuda:0")
    records.take_job("cuda:1")
    records.crash("cuda:0", "gone")
    assert records.job(other).state == "running"
    assert records.running_elsewhere(["cuda:0"]) == ["cuda:1"]
    assert records.running_job("cuda:0") is None
    assert records.running_job("cuda:1") == records.job(other)


def test_wishes_for_a_running_job(records: Records) -> None:
    """A running job is asked to pause or cancel; a wish outlives the painter's death."""
    owner = records.add_owner().id
    job = ask(records, owner)
    records.take_job("cpu")
    assert records.pause(job).wanted == "pause"
    assert records.resume(job).wanted is None
    records.pause(job)
    assert records.crash("cpu", "gone")[0].state == "paused"
    assert records.resume(job).state == "queued"
    records.take_job("cpu")
    assert records.cancel(job).wanted == "cancel"
    with pytest.raises(StateError, match="is being cancelled, so it cannot be paused"):
        records.pause(job)
    with pytest.raises(StateError, match="is being cancelled, so it cannot go on"):
        records.resume(job)
    assert records.put_back(job).wanted == "cancel"
    records.take_job("cpu")
    assert records.cancelled(job).state == "cancelled"


@pytest.mark.parametrize("painted", [True, False])
def test_wishes_while_a_job_is_being_put_aside(records: Records, painted: bool) -> None:
    """A cancel, a deletion or a resume that comes while the painter, who was asked to pause, writes
    its checkpoint is heeded, and the job goes to a painter again.
    """
    owner = records.add_owner().id
    for wish in (records.cancel, records.delete_job, records.resume):
        job = ask(records, owner)
        records.take_job("cpu")
        if painted:
            records.note_progress(job, {"share": 0.1})
        records.pause(job)
        told = wish(job)
        aside = records.put_aside(job, known="pause")
        assert (aside.state, aside.wanted) == ("queued", told.wanted)
        assert records.restore_job(job).wanted == told.wanted
        taken = records.take_job("cpu")
        assert taken is not None
        assert taken.id == job
        assert records.cancelled(job).state == "cancelled"


def test_a_cancel_that_could_not_be_done_is_not_tried_for_ever(records: Records) -> None:
    """A job whose cancelling found no room for the picture waits for its owner; one whose cancel
    came too late for its painter to know does not.
    """
    owner = records.add_owner().id
    note = Note("no_room_at_end", "the disk is full")
    job = ask(records, owner)
    records.take_job("cpu")
    records.cancel(job)
    found = records.put_aside(job, note)
    assert (found.state, found.wanted) == ("queued", "cancel")
    records.take_job("cpu")
    found = records.put_aside(job, note, "cancel")
    assert (found.state, found.wanted, found.note) == ("paused", None, note)


def test_a_paused_job_with_a_picture_is_cancelled_by_its_painter(records: Records) -> None:
    """What has been painted becomes the result though the job was paused when it was cancelled."""
    owner = records.add_owner().id
    job = ask(records, owner)
    records.take_job("cpu")
    records.note_progress(job, {"share": 0.1})
    records.put_aside(job)
    other = ask(records, owner)
    asked = records.cancel(job)
    assert (asked.state, asked.wanted) == ("queued", "cancel")
    taken = records.take_job("cpu")
    assert taken is not None
    assert taken.id == job
    result = new_id()
    assert records.cancelled(job, result, (8, 8), 10).result == result
    # One of which nothing is painted ends at once.
    assert records.cancel(other).state == "cancelled"


def test_again(records: Records) -> None:
    """A failed job is queued again; of one that is done a copy is made, and the result stays."""
    owner = records.add_owner().id
    job = ask(records, owner)
    with pytest.raises(StateError, match="queued"):
        records.again(job)
    records.take_job("cpu")
    records.fail(job, Fault("options", "--size 9: must lie in\n16 to 9"))
    found = records.job(job)
    assert found.fault == Fault("options", "--size 9: must lie in\\n16 to 9")
    assert records.again(job).id == job
    records.take_job("cpu")
    records.finish(job, new_id(), (8, 8), 1)
    copy = records.again(job)
    assert copy.id != job
    assert (copy.state, copy.request) == ("queued", records.job(job).request)
    assert records.job(job).state == "done"


def test_finished_jobs_cannot_be_finished_again(records: Records) -> None:
    """Nothing changes the end of a job, so that it has one result at most."""
    owner = records.add_owner().id
    job = ask(records, owner)
    records.take_job("cpu")
    result = new_id()
    records.finish(job, result, (8, 8), 1)
    for change in (
        lambda: records.finish(job, new_id(), (8, 8), 1),
        lambda: records.cancelled(job),
        lambda: records.fail(job, Fault("x", "y")),
        lambda: records.put_back(job),
        lambda: records.put_aside(job),
        lambda: records.pause(job),
        lambda: records.resume(job),
        lambda: records.set_strength(job, 0.5),
    ):
        with pytest.raises(StateError):
            change()
    records.note_progress(job, {"late": True})
    found = records.job(job)
    assert (found.state, found.result, found.progress) == ("done", result, None)
    assert len(records.pictures(owner, "result")) == 1


def test_pages_of_jobs(records: Records) -> None:
    """Page by page every job is told once, newest first."""
    owner, other = records.add_owner().id, records.add_owner().id
    asked = [ask(records, owner) for _ in range(7)]
    ask(records, other)
    page = records.jobs(owner, limit=3)
    found = [job.id for job in page.jobs]
    while page.next is not None:
        ask(records, owner)
        page = records.jobs(owner, limit=3, before=page.next)
        found += [job.id for job in page.jobs]
    assert found == asked[::-1]
    for text in "nonsense", "0x1p99999~x":
        with pytest.raises(StateError, match="before"):
            records.jobs(owner, before=text)


def test_search(records: Records) -> None:
    """A search finds words of the label and of the pictures, in any case, and takes no pattern."""
    owner = records.add_owner().id
    cat = records.add_job(owner, {}, label="Die KÖNIGIN 100%", words=["Seerosen.jpg"]).id
    dog = records.add_job(owner, {}, label="Hund_1").id

    def found(text: str) -> list[str]:
        return [job.id for job in records.jobs(owner, search=text).jobs]

    assert found("königin") == found("seerosen KÖNIG") == found("100%") == [cat]
    assert found("%") == [cat]
    assert found("d_1") == [dog]
    assert found("königin hund") == []
    records.set_label(cat, "Katze")
    assert found("königin") == []
    assert found("KATZE") == [cat]


def test_names_are_clean(records: Records) -> None:
    """A name is one short line, whatever it is given as."""
    owner = records.add_owner().id
    given = " ../../etc\x00/pass\nwd\u202e\t" + "x" * 500
    picture = records.add_picture(owner, "photo", given)
    assert picture.name.startswith("../../etc /pass wd xxx")
    assert len(picture.name) == 120
    assert clean_name("ä\u200b b") == "ä b"


def test_owners_take_turns_at_the_reader(records: Records) -> None:
    """Who uploads a picture has it read next, however many another one has uploaded before."""
    many, one = records.add_owner().id, records.add_owner().id
    uploads = [records.add_picture(many, "photo", "x").id for _ in range(4)]
    mine = records.add_picture(one, "photo", "y").id
    read = list[str]()
    while found := records.unread_pictures():
        for picture in found:
            records.picture_ready(picture.id, 4, 3, has_alpha=False)
            read.append(picture.id)
    assert read == [uploads[0], mine, *uploads[1:]]


def test_reading_is_decided_once(records: Records) -> None:
    """What the reader said of a picture stays, though it says something else later."""
    owner = records.add_owner().id
    picture = records.add_picture(owner, "photo", "x", bytes=5, sha256="0" * 64).id
    assert [one.id for one in records.unread_pictures()] == [picture]
    records.picture_ready(picture, 40, 30, has_alpha=True)
    found = records.picture_refused(picture, Fault("damaged", "no"))
    assert (found.state, found.width, found.has_alpha) == ("ready", 40, True)
    assert records.unread_pictures() == []
    assert records.count_pictures(owner) == 1


def test_deleting_and_restoring(records: Records) -> None:
    """A deleted job is out of sight with its result, and comes back with it; a running one ends."""
    owner = records.add_owner().id
    job, running = ask(records, owner), ask(records, owner)
    records.take_job("cpu")
    records.finish(job, new_id(), (8, 8), 1)
    records.set_shared(job, shared=True)
    assert [one.id for one in records.shared_jobs().jobs] == [job]
    records.delete_job(job)
    assert [one.id for one in records.jobs(owner).jobs] == [running]
    assert records.pictures(owner) == []
    assert records.shared_jobs().jobs == []
    records.restore_job(job)
    assert [one.id for one in records.shared_jobs().jobs] == [job]
    assert len(records.pictures(owner, "result")) == 1
    records.take_job("cpu")
    assert records.delete_job(running).wanted == "cancel"
    result = new_id()
    records.cancelled(running, result, (8, 8), 1)
    # What it made is deleted with it.
    assert records.picture(result).deleted is not None


def test_purge(tmp_path: Path) -> None:
    """Old and long-deleted things go, but nothing that a job still needs."""
    clock = Clock()
    records = records_in(tmp_path / "s.sqlite3", clock=clock)
    owner = records.add_owner().id
    needed = records.add_picture(owner, "photo").id
    unneeded = records.add_picture(owner, "style").id
    old = ask(records, owner)
    records.take_job("cpu")
    gone = new_id()
    records.finish(old, gone, (8, 8), 1)
    waiting = ask(records, owner, photo=needed, masks=[f"{needed}#ff0000"])
    clock.now += 10 * DAY
    fresh = records.add_picture(owner, "photo").id
    deleted = records.add_picture(owner, "photo").id
    records.delete_picture(deleted)
    undoable = records.add_picture(owner, "photo").id
    clock.now += 1000
    records.delete_picture(undoable)
    purged = records.purge(created_before=clock.now - 5 * DAY, deleted_before=clock.now - 500)
    assert set(purged.pictures) == {unneeded, gone, deleted}
    assert purged.jobs == [old]
    with pytest.raises(MissingError):
        records.picture(gone)
    assert {one.id for one in records.pictures(owner)} == {needed, fresh}
    assert records.without_record([fresh, gone], [waiting, old]) == ([gone], [old])
    records.restore_picture(undoable)
    assert records.counts().pictures["photo"] == 3
    # An owner who has nothing and has not been here goes too.
    records.add_owner("idle")
    clock.now += 10 * DAY
    records.purge(created_before=clock.now - 5 * DAY, deleted_before=clock.now)
    assert records.owner("idle") is None
    assert records.owner(owner) is not None


@pytest.mark.parametrize("how", ["waiting", "running", "stopped"])
def test_a_paused_job_ages_from_its_pause(records: Records, how: str) -> None:
    """A job that is paused long after it was asked for stays, with its pictures, for the time of
    retention since then; it is not told as finished.
    """
    clock, owner = records._clock, records.add_owner().id
    photo = records.add_picture(owner, "photo").id
    job = ask(records, owner, photo=photo)
    clock.now += 10 * DAY
    if how != "waiting":
        records.take_job("cpu")
    records.pause(job)
    if how == "running":
        records.put_aside(job, known="pause")
    elif how == "stopped":
        records.put_back(job)
    paused = records.job(job)
    assert (paused.state, paused.finished) == ("paused", None)

    def purged() -> tuple[list[str], list[str]]:
        found = records.purge(created_before=clock.now - 5 * DAY, deleted_before=clock.now)
        return found.jobs, found.pictures

    assert purged() == ([], [])
    clock.now += 4 * DAY
    assert purged() == ([], [])
    clock.now += 2 * DAY
    assert purged() == ([job], [photo])


def test_purging_a_result_leaves_no_dangling_name(records: Records) -> None:
    """A job whose result was deleted apart names it no more once it is purged."""
    owner = records.add_owner().id
    job = ask(records, owner)
    records.take_job("cpu")
    result = new_id()
    records.finish(job, result, (8, 8), 1)
    records.delete_picture(result)
    assert records.purge(created_before=0, deleted_before=2e9).pictures == [result]
    assert records.job(job).result is None


def test_named_pictures() -> None:
    """Every picture that a request names is found, and no built-in one."""
    request = {
        "photo": "P",
        "styles": ["style:waves", "S"],
        "masks": ["M#ff0000"],
        "style_masks": [None, "T"],
        "fine": "sample:cat",
        "start": None,
        "coarse": "C",
    }
    assert set(named_pictures(request)) == {"P", "S", "M", "T", "C"}


def test_databases_of_other_versions_are_refused(tmp_path: Path) -> None:
    """Records of another version are left alone, with one line that says so."""
    path = tmp_path / "s.sqlite3"
    records_in(path).close()
    import sqlite3

    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE facts SET value = '99'")
    with pytest.raises(RecordsError, match="version 99"):
        records_in(path)


def test_notes_of_before_stay_readable(records: Records) -> None:
    """A note that an earlier impasto wrote, as plain words, is still told, without a key."""
    job = ask(records, records.add_owner().id)
    old = "it keeps its strength (--strength: not with these colours)"
    with records._database.change() as change:
        change.execute(JOBS.update().values(note=old))
    assert records.job(job).note == Note(None, old)
    records.resume(job)
    records.take_job("cpu")
    records.put_aside(job, Note("no_room", "the disk is full"))
    with records._database.look() as look:
        # What an earlier impasto would show.
        assert look.execute(JOBS.select()).one().note == "no_room: the disk is full"
    records.resume(job)
    assert records.job(job).note is None


def test_a_database_of_before_gets_presets(tmp_path: Path) -> None:
    """Records that an earlier impasto made get the table of presets; that impasto, which does not
    know it, can still delete an owner who has some.
    """
    path = tmp_path / "s.sqlite3"
    before = records_in(path)
    owner = before.add_owner().id
    job = ask(before, owner)
    with before._database.change() as change:
        PRESETS.drop(change)
    before.close()
    records = records_in(path)
    assert records.job(job).owner == owner
    records.save_preset(owner, new_id(), "Mine", {"strength": 0.5}, limit=1)
    records.delete_job(job)
    with records._database.change() as change:
        change.execute(JOBS.delete())
        change.execute(OWNERS.delete())
    assert records.presets(owner) == []
    records.close()


def test_presets_go_with_their_owner(records: Records) -> None:
    """An owner who has not been here for the time of retention goes, with all presets; another's
    presets stay.
    """
    clock = records._clock
    gone, here = (records.add_owner().id for _ in range(2))
    for owner in (gone, here):
        records.save_preset(owner, "A" * 22, "Mine", {}, limit=1)
    clock.now += 10 * DAY
    assert records.owner(here) is not None
    records.purge(created_before=clock.now - 5 * DAY, deleted_before=clock.now)
    assert records.owner(gone) is None
    assert records.presets(gone) == []
    assert [preset.name for preset in records.presets(here)] == ["Mine"]


def test_preset_limit_holds_against_simultaneous_saving(records: Records) -> None:
    """Two requests at once cannot get one preset too many, or one name twice."""
    owner = records.add_owner().id

    def save(number: int) -> bool:
        try:
            records.save_preset(owner, f"{number:022d}", f"{number // 2}", {}, limit=3)
        except StateError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        saved = list(pool.map(save, range(16)))
    assert sum(saved) == 3
    assert len({preset.name for preset in records.presets(owner)}) == 3


def test_a_password_is_not_told(tmp_path: Path) -> None:
    """The line about a database that cannot be opened does not hold its password."""
    with pytest.raises(RecordsError) as caught:
        Records("postgresql+psycopg://user:geheim@127.0.0.1:1/x?connect_timeout=1")
    assert "geheim" not in str(caught.value)


def test_processes_wait_for_each_other(tmp_path: Path) -> None:
    """A change waits while another process is changing, instead of failing."""
    path = tmp_path / "s.sqlite3"
    first, second = records_in(path), records_in(path)
    owner = first.add_owner().id
    with ThreadPoolExecutor(1) as pool:
        with first._change():
            waiting = pool.submit(second.add_job, owner, {})
            with pytest.raises(TimeoutError):
                waiting.result(0.3)
        assert waiting.result(60).state == "queued"


class Course(RuleBasedStateMachine):
    """Whatever owners, painters and their deaths do in whatever order, the records agree with a
    plain model: every job is in one state, and over at most once with at most one result."""

    def __init__(self) -> None:
        super().__init__()
        self.records = Records("sqlite://", clock=Clock())
        self.owners = [self.records.add_owner().id for _ in range(2)]
        self.model: dict[str, dict[str, object]] = {}

    def teardown(self) -> None:
        """Lets go of the database."""
        self.records.close()

    def some(self, data: st.DataObject, *states: str) -> str | None:
        """Any job in one of the states."""
        # As they came: ids are random, and a course must be the same when it is repeated.
        fitting = [job for job, one in self.model.items() if one["state"] in states]
        return data.draw(st.sampled_from(fitting)) if fitting else None

    @rule(owner=st.integers(0, 1))
    def add(self, owner: int) -> None:
        """An owner asks for a job."""
        job = self.records.add_job(self.owners[owner], {}, limit=None).id
        self.model[job] = {"state": "queued", "wanted": None, "crashes": 0, "painted": False}

    @rule(device=st.sampled_from(["cpu", "cuda:0"]))
    def take(self, device: str) -> None:
        """A painter looks for a job; a device paints one at a time."""
        if any(one["state"] == "running" and one["on"] == device for one in self.model.values()):
            return
        taken = self.records.take_job(device)
        queued = {job for job, one in self.model.items() if one["state"] == "queued"}
        assert (taken is None) == (not queued)
        if taken is not None:
            assert taken.id in queued
            self.model[taken.id] |= {"state": "running", "on": device}

    @rule(data=st.data())
    def paint(self, data: st.DataObject) -> None:
        """A painter tells how far it is."""
        if (job := self.some(data, "running")) is not None:
            self.records.note_progress(job, {"share": 0.5})
            self.model[job]["painted"] = True

    @rule(data=st.data(), known=st.sampled_from([None, "pause", "cancel"]))
    def put_aside(self, data: st.DataObject, known: Wanted | None) -> None:
        """A painter puts a job aside, by what it knew was wanted a while ago."""
        if (job := self.some(data, "running")) is None:
            return
        one = self.model[job]
        if known == "cancel" != one["wanted"]:
            return  # that is never taken back
        self.records.put_aside(job, known=known)
        cancelled_since = one["wanted"] == "cancel" and known != "cancel"
        resumed_since = one["wanted"] is None and known == "pause"
        if cancelled_since or resumed_since:
            one["state"] = "queued"
        else:
            one |= {"state": "paused", "wanted": None}

    @rule(data=st.data(), end=st.sampled_from(["done", "failed", "cancelled", "back"]))
    def end(self, data: st.DataObject, end: str) -> None:
        """A painter comes to an end with a job."""
        if (job := self.some(data, "running")) is None:
            return
        one = self.model[job]
        if end == "done":
            self.records.finish(job, new_id(), (8, 8), 1)
        elif end == "failed":
            self.records.fail(job, Fault("x", "y"))
        elif end == "cancelled":
            self.records.cancelled(job, new_id(), (8, 8), 1)
        else:
            self.records.put_back(job)
            paused = one["wanted"] == "pause"
            one |= {"state": "paused", "wanted": None} if paused else {"state": "queued"}
            return
        one |= {"state": end, "wanted": None}

    @rule(device=st.sampled_from(["cpu", "cuda:0"]))
    def die(self, device: str) -> None:
        """A painter is killed."""
        self.records.crash(device, "killed")
        for one in self.model.values():
            if one["state"] == "running" and one["on"] == device:
                one["crashes"] = int(str(one["crashes"])) + 1
                if one["crashes"] == 3:
                    one |= {"state": "set_aside", "wanted": None}
                elif one["wanted"] == "pause":
                    one |= {"state": "paused", "wanted": None}
                else:
                    one["state"] = "queued"

    @rule(data=st.data(), wish=st.sampled_from(["pause", "resume", "cancel", "again"]))
    @precondition(lambda self: self.model)
    def wish(self, data: st.DataObject, wish: str) -> None:
        """An owner wishes something of any job."""
        job = data.draw(st.sampled_from(list(self.model)))
        one = self.model[job]
        state, wanted = one["state"], one["wanted"]
        active = state in ("queued", "running", "paused")
        allowed = {
            "pause": active and wanted != "cancel",
            "resume": active and wanted != "cancel",
            "cancel": True,
            "again": not active,
        }[wish]
        try:
            told = getattr(self.records, wish)(job)
        except StateError:
            assert not allowed
            return
        assert allowed
        if wish == "pause" and state == "queued":
            one["state"] = "paused"
        elif wish == "pause" and state == "running":
            one["wanted"] = "pause"
        elif wish == "resume":
            one |= {"state": "queued" if state == "paused" else state, "wanted": None}
        elif wish == "cancel" and state == "running":
            one["wanted"] = "cancel"
        elif wish == "cancel" and active:
            painted = {"state": "queued", "wanted": "cancel"}
            one |= painted if one["painted"] else {"state": "cancelled", "wanted": None}
        elif wish == "again" and state in ("failed", "set_aside"):
            one |= {"state": "queued", "crashes": 0}
        elif wish == "again":
            self.model[told.id] = {"state": "queued", "wanted": None, "crashes": 0, "painted": 0}

    @invariant()
    def agrees(self) -> None:
        """The records say what the model says, and no result is lost or doubled."""
        found = [job for owner in self.owners for job in self.records.jobs(owner, limit=999).jobs]
        told = {job.id: (job.state, job.wanted, job.crashes) for job in found}
        assert len(found) == len(told)
        assert told == {
            job: (one["state"], one["wanted"], one["crashes"]) for job, one in self.model.items()
        }
        results = [job.result for job in found if job.result is not None]
        pictures = [p for owner in self.owners for p in self.records.pictures(owner, "result")]
        assert sorted(results) == sorted(picture.id for picture in pictures)
        assert set(self.records.places()) == {job.id for job in found if job.state == "queued"}
        assert all(replace(job).over == (job.finished is not None) for job in found)


test_course = Course.TestCase
test_course.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
