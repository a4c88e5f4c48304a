"""The collection itself: which address is asked when, and what becomes of the answers.

One thread per host that is being asked; everything else, the decisions and all writing, happens in
the thread that draws `Crawl.run`. An address is done with in one transaction: its outcome, what it
led to, and the picture that is then in the folder. Whatever is killed in between is found as it was
before, or with an answer that waits on disk, whole or in part, and goes on from there. A collection
that is told to stop asks for nothing more and waits a moment for what is under way.
"""

from __future__ import annotations

import contextlib
import json
import queue
import shutil
import threading
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from impasto.collect.addresses import Guard
from impasto.collect.agenda import VARIABLE, Agenda, said
from impasto.collect.album import Album, Picture, Place, look
from impasto.collect.answers import Answer, Shelf
from impasto.collect.connections import Connect, Stopped, Watch
from impasto.collect.fetching import PAGE_BYTES, Fetcher
from impasto.collect.found import Found, Link
from impasto.collect.hosts import Hosts
from impasto.collect.journal import Journal, Task
from impasto.collect.options import BUDGETS, MANNERS, CollectOptions
from impasto.collect.pages import reserves_picture
from impasto.collect.politeness import ROBOTS_BYTES, Budget, BudgetSpentError
from impasto.collect.reading import read_answer
from impasto.collect.robots import Robots
from impasto.collect.sources import SOURCES, Source
from impasto.collect.tally import FORBIDDEN, PRIVATE, TOO_MANY, Progress, Summary, Tally
from impasto.collect.urls import host_of, normalize, origin_of, same_site
from impasto.errors import ImageError, ImpastoError, OptionError, OutputError, RunError, one_line
from impasto.images import is_picture, output_error

_WORK = ".impasto-collect"
_REDIRECTS = 8
_MOVED = {301, 302, 303, 307, 308}
_FRUITLESS = 10
"""Pages that lead elsewhere or cannot be read, and style sheets, for each page of --max-pages."""
_GRACE = 5.0
"""Seconds that what is under way is waited for when a collection ends before its time."""
_RELEASE = 2.0
"""Seconds more until a request that is broken off must have noticed."""


@dataclass(frozen=True, eq=False)
class _Done:
    """What a thread made of one task."""

    task: Task
    answer: Answer | None = None
    found: Found | None = None
    picture: Picture | None = None
    fault: str = ""
    error: BaseException | None = None


class Crawl:
    """A collection of pictures in one folder; begins it, or goes on with it.

    Args:
        urls: where to begin.
        folder: where the pictures go; made if need be. It must be empty, or hold an earlier part
            of the same collection.
        options: what to collect, and how.
        refresh: read the pages of a finished collection again, where they have changed.
        sources: open collections with interfaces of their own.
        guard: which addresses may be asked; by the options if not given.
        connect: opens connections; that of the system by default.
        backoff: seconds before the second try of what failed; doubled for every further one.
        patience: seconds; a host that asks for a longer pause is left for a later run.

    Raises:
        OptionError: no address, or one that cannot be asked; or another collection is there.
        OutputError: the folder cannot be used.
    """

    def __init__(
        self,
        urls: Sequence[str],
        folder: str | Path,
        options: CollectOptions | None = None,
        *,
        refresh: bool = False,
        sources: Sequence[Source] = SOURCES,
        guard: Guard | None = None,
        connect: Connect | None = None,
        backoff: float = 2.0,
        patience: float = 600.0,
    ) -> None:
        self._options = options or CollectOptions()
        self._sources = sources
        self._seeds = [self._checked(url) for url in urls]
        if not self._seeds:
            raise OptionError("an address is missing; give one, such as https://example.org/")
        self.folder = Path(folder)
        self._name = one_line(str(folder))
        work = self._make_folders()
        self._journal = Journal(work / "journal.sqlite")
        try:
            self._check_same()
            self._waiting_folder = work / "answers"
            self._waiting_folder.mkdir(exist_ok=True)
            self._shelf = Shelf(self._waiting_folder)
            self._tally = Tally(self._journal)
            self._begin(refresh)
            received = self._received()
        except BaseException:
            self._journal.close()
            raise
        self._watch = Watch()
        self._budget = Budget(self._options.max_bytes, *received)
        guard = guard or Guard(self._options.allow_private)
        self._fetcher = Fetcher(
            self._shelf, self._options, self._budget, guard, self._watch, connect
        )
        self._hosts = Hosts(self._journal, self._options, backoff, patience)
        self._robots = Robots(self._journal, self._hosts)
        self._album = Album(self.folder, self._journal, self._options)
        self._agenda = Agenda(self._journal, self._tally, self._album, self._options)
        self._results: queue.SimpleQueue[_Done] = queue.SimpleQueue()
        self._busy = 0
        self._began = time.monotonic()
        self._stop = ""
        self._ending = float("inf")

    # Beginning

    def _checked(self, url: str) -> str:
        made = normalize(url)
        if made is None:
            shown = one_line(url[:200])
            if "://" not in url:
                raise OptionError(f"{shown}: is no web address; write it in full: https://…")
            raise OptionError(
                f"{shown}: cannot be asked; give an http or https address without a password"
            )
        return made

    def _make_folders(self) -> Path:
        work = self.folder / _WORK
        try:
            if self.folder.exists() and not self.folder.is_dir():
                raise OutputError(f"{self._name}: is a file; name a folder")
            if self.folder.is_dir() and not work.is_dir() and any(self.folder.iterdir()):
                raise OutputError(f"{self._name}: holds other files; name an empty or a new folder")
            work.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise output_error(self._name, error) from error
        return work

    def _check_same(self) -> None:
        """Refuses to mix two collections in one folder."""
        plain = self._options.model_dump(mode="json", exclude={*BUDGETS, *MANNERS})
        now = json.dumps({"urls": self._seeds, **plain}, sort_keys=True)
        new, old = json.loads(now), self._journal.record("command")
        if not old:
            if any(path.name != _WORK for path in self.folder.iterdir()):
                raise OutputError(
                    f"{self._name}: holds files, but its journal, which knows them, is empty; name "
                    "an empty or a new folder"
                )
            with self._journal as journal:
                journal.state("command", now)
            return
        if old != new:
            changed = next(key for key in {**new, **old} if new.get(key) != old.get(key))
            what = "addresses" if changed == "urls" else f"--{changed.replace('_', '-')}"
            raise OptionError(
                f"{self._name}: was collected with other {what}; give the same, or another folder"
            )

    def _begin(self, refresh: bool) -> None:
        with self._journal as journal:
            for url in self._seeds:
                link = self._seed(url)
                notes = {**link.notes, "site": url, "seed": "1"}
                journal.add(link.url, host_of(link.url), link.kind, 0, notes)
            waiting = bool(journal.waiting())
            # One that was interrupted goes on, rather than asking for the same once more; and what
            # came to nothing is worth another try.
            under_way = waiting and journal.fact("refreshing")
            if (refresh and not under_way) or (not waiting and self._tally.in_vain):
                journal.begin_again()
                journal.state("refreshing", "1")
        self._tally = Tally(self._journal)

    def _received(self) -> tuple[int, dict[str, int]]:
        """Bytes of answers that are dealt with, and of each that waits on disk."""
        pending = {}
        for url, received in self._shelf.received():
            task = self._journal.find(url)
            if task is not None and not task.outcome:
                pending[url] = received
            else:
                # The process was killed after it was dealt with.
                self._shelf.forget(url)
        return self._journal.number("bytes"), pending

    def _seed(self, url: str) -> Link:
        for source in self._sources:
            if source.matches(url):
                return source.start(url)
        return Link(url, "page", 0)

    # The course

    def run(self) -> Generator[Progress, None, None]:
        """Collects until nothing is left or a limit is reached, telling how far it is.

        Closing the generator is like `stop` and the rest of the course; what has been collected
        stays, and a later run with the same arguments goes on.

        Raises:
            OutputError: the folder cannot be written.
            RunError: not one of the first addresses could be read.
            OptionError: nor may they be asked.
        """
        try:
            more = self._album.tidy()
            self._tally.count("picture", "kept", number=more)
            self._tally.count("picture", "deleted", number=-more)
            try:
                while True:
                    self._find_limits()
                    pause = self._dispatch()
                    if not self._is_under_way() and pause is None:
                        break
                    yield self._progress(0.0 if self._busy or pause is None else pause)
                    self._wait(pause)
            except GeneratorExit:
                self.stop("interrupted")
                while self._is_under_way():
                    self._find_limits()
                    self._wait(None)
                raise
        except BaseException:
            # What went wrong matters more than what then cannot be written either.
            with contextlib.suppress(OutputError):
                self._end()
            raise
        self._end()
        self._check_fruitless()

    def stop(self, why: str) -> None:
        """Has nothing more asked for; what is under way is awaited a few seconds, then broken off.

        May be called from a signal's handler.

        Args:
            why: in words, for the summary.
        """
        self._stop = self._stop or why

    def _is_under_way(self) -> bool:
        """Whether there is something to wait for."""
        return self._busy > 0 and time.monotonic() < self._ending + _RELEASE

    def summary(self) -> Summary:
        """What came of it; to be asked before `close`."""
        left = sum(number for _, kind, number in self._journal.waiting() if kind != "robots")
        return Summary(
            self._progress(0.0),
            self._tally.reasons(),
            (self._stop or self._reluctant()) if left else "",
            left,
        )

    def close(self) -> None:
        """Frees the folder for other processes."""
        self._journal.close()

    def _end(self) -> None:
        self._watch.stopping.set()
        self._fetcher.close()
        deadline = time.monotonic() + _RELEASE
        while self._busy and time.monotonic() < deadline:
            with contextlib.suppress(queue.Empty):
                # Answers that came whole wait on disk for the next run.
                self._results.get(timeout=0.2)
                self._busy -= 1
        on_disk = sum(received for _, received in self._shelf.received())
        with self._journal as journal:
            journal.state("bytes", str(self._budget.used - on_disk))
            if not self._stop:
                journal.state("refreshing", "")
        self._album.write_manifest()
        if not self._tally.waiting:
            shutil.rmtree(self._waiting_folder, ignore_errors=True)

    def _find_limits(self) -> None:
        options = self._options
        if self._stop:
            pass
        elif options.max_time is not None and time.monotonic() - self._began >= options.max_time:
            self.stop(f"--max-time {options.max_time:g} is over")
        elif self._budget.left <= 0:
            self.stop("--max-bytes is reached")
        elif self._full:
            self.stop(f"--max-pictures {options.max_pictures} is reached")
        if self._stop:
            self._ending = min(self._ending, time.monotonic() + _GRACE)
            if time.monotonic() >= self._ending:
                self._watch.stopping.set()

    @property
    def _full(self) -> bool:
        most = self._options.max_pictures
        return most is not None and len(self._album) >= most

    @property
    def _may_read(self) -> bool:
        return self._tally.read < self._options.max_pages and not self._fruitless

    @property
    def _fruitless(self) -> bool:
        return self._tally.fruitless >= _FRUITLESS * self._options.max_pages

    def _reluctant(self) -> str:
        """Why something is left although no limit is reached."""
        if given_up := [f"{name}: {why}" for name, why in self._hosts.given_up()]:
            return "; ".join(given_up[:3])
        most = self._options.max_pages
        if self._fruitless:
            return f"too many pages led elsewhere or could not be read for --max-pages {most}"
        return f"--max-pages {most} is reached"

    def _dispatch(self) -> float | None:
        """Begins what may begin now.

        Returns:
            Seconds until more may; `None` where nothing will.
        """
        pause: float | None = None
        if self._stop:
            return None
        for name in self._tally.hosts():
            reading = self._may_read
            if not self._tally.waits(name, reading=reading):
                continue
            host = self._hosts[name]
            if host.busy or host.given_up or self._busy >= self._options.hosts:
                continue
            wait = host.wait
            if wait <= 0:
                task = self._choose(name)
                if task is not None:
                    self._start(task)
                    continue
                due = self._journal.due(name, reading=reading)
                if due is None or host.given_up:
                    continue
                wait = max(due, host.wait, 0.01)
            pause = wait if pause is None else min(pause, wait)
        return pause

    def _choose(self, host: str) -> Task | None:
        """The next address of a host that may be asked for; what may not is done with."""
        while task := self._journal.next(host, reading=self._may_read):
            if task.kind == "robots":
                return task
            known = self._robots.rules(origin_of(task.url))
            if known is None:
                asked = self._robots.ask(origin_of(task.url))
                self._tally.recount()
                return asked
            if self._hosts[host].given_up or self._hosts[host].wait:
                return None
            (rules,) = known
            if rules is None or not (self._is_interface(task) or rules.allow(task.url)):
                with self._journal:
                    self._agenda.fail(task, "skipped", FORBIDDEN)
            elif task.kind == "style" and self._fruitless:
                with self._journal:
                    self._agenda.finish(task, "skipped", TOO_MANY)
            else:
                return task
        return None

    def _is_interface(self, task: Task) -> bool:
        """Whether an address belongs to the documented interface of a collection.

        That is meant for programs: its rules for wandering robots are not about it, but for the
        pause that they ask for. Where it leads to another place, the rules of that one hold.
        """
        return task.kind == "api" and any(
            source.name == task.notes.get("source") and task.url.startswith(source.interface)
            for source in self._sources
        )

    def _start(self, task: Task) -> None:
        self._hosts.begin(task.host)
        self._busy += 1
        threading.Thread(target=self._work, args=(task,), daemon=True).start()

    def _wait(self, pause: float | None) -> None:
        """Until an answer is there or a pause is over; deals with all that is there."""
        limit = 0.5 if pause is None else min(max(pause, 0.001), 0.5)
        try:
            done = self._results.get(timeout=limit)
        except queue.Empty:
            return
        while True:
            self._busy -= 1
            self._settle(done)
            try:
                done = self._results.get_nowait()
            except queue.Empty:
                break

    # In the threads

    def _work(self, task: Task) -> None:
        try:
            self._results.put(self._ask(task))
        except (BudgetSpentError, Stopped, OSError, ImpastoError) as error:
            self._results.put(_Done(task, error=error))
        except Exception as error:
            # Whatever it is, it is one address of many.
            words = one_line(f"{type(error).__name__}: {error}")[:200]
            self._results.put(_Done(task, Answer(fault=f"cannot be asked ({words})")))
        except BaseException as error:
            self._results.put(_Done(task, error=error))

    def _ask(self, task: Task) -> _Done:
        limit = {"picture": self._options.max_file, "robots": ROBOTS_BYTES}.get(
            task.kind, max(PAGE_BYTES, self._options.max_file if task.notes.get("seed") else 0)
        )
        answer = self._fetcher.fetch(
            task.url,
            task.kind,
            limit=limit,
            seconds=self._options.timeout,
            rules=task.kind == "robots",
            etag=task.etag,
            modified=task.modified,
        )
        if answer.body is None:
            return _Done(task, answer)
        data = answer.body.read_bytes()
        if task.kind == "robots":
            if len(data) >= ROBOTS_BYTES:
                # Half a rule is none, or worse, another one.
                data = data[: data.rfind(b"\n") + 1]
            return _Done(task, answer, fault=data.decode("utf-8-sig", errors="replace"))
        try:
            return self._read(task, answer, data)
        except Exception as error:
            # Whatever a stranger sent, it is one address of many that is of no use.
            fault = f"cannot be read ({type(error).__name__})"
            return _Done(task, answer, found=Found(fault=fault), fault=fault)

    def _read(self, task: Task, answer: Answer, data: bytes) -> _Done:
        if task.kind == "picture" or is_picture(data):
            try:
                picture = look(data, said(task.notes), self._options)
                if reserves_picture(answer.headers):
                    picture = replace(picture, refused="its server reserves it")
                return _Done(task, answer, picture=picture)
            except ImageError as error:
                return _Done(task, answer, fault=str(error).partition(": ")[2] or str(error))
        if len(data) > PAGE_BYTES:
            return _Done(task, answer, found=Found(fault=f"is larger than {PAGE_BYTES / 1e6:g} MB"))
        found = read_answer(
            data,
            task.url,
            task.kind,
            answer.headers,
            task.notes,
            sources=self._sources,
            max_pixels=int(self._options.max_megapixels * 1e6),
        )
        return _Done(task, answer, found=found)

    # What becomes of an answer

    def _settle(self, done: _Done) -> None:
        task = done.task
        self._hosts.end(task.host)
        if isinstance(done.error, BudgetSpentError | Stopped):
            return
        if isinstance(done.error, OSError):
            raise output_error(self._name, done.error) from done.error
        if done.error is not None:
            raise done.error
        answer, picture = done.answer, done.picture
        assert answer is not None
        if picture is not None and (self._full or self._is_renamed(task)):
            # It waits on disk: for a run that may keep more, or to be looked at anew.
            return
        place = Place() if picture is None else self._album.place(picture, answer)
        with self._journal as journal:
            again = self._hosts.try_again(task, answer)
            if again:
                pass
            elif task.kind == "robots":
                self._settle_robots(task, done, answer)
            elif picture is not None:
                self._settle_picture(task, picture, answer, place)
            elif answer.status == 304 and (task.etag or task.modified):
                self._agenda.finish(task, "unchanged")
            elif answer.fault or answer.status != 200:
                self._settle_without(task, answer)
            elif done.found is not None and task.kind != "picture":
                known = answer.headers.get("etag", ""), answer.headers.get("last-modified", "")
                journal.remember(task, *known)
                self._agenda.follow(task, done.found)
            else:
                self._agenda.fail(task, "failed", "no picture that can be read", done.fault)
            if not (again and self._shelf.holds(task.url)):
                self._budget.settle(task.url)
            journal.state("bytes", str(self._budget.settled))
        if not again:
            self._shelf.forget(task.url)
        self._album.settle()

    def _is_renamed(self, task: Task) -> bool:
        """Whether something else has been said about a picture since it was asked for."""
        known = self._journal.find(task.url)
        return known is not None and known.notes != task.notes

    def _settle_robots(self, task: Task, done: _Done, answer: Answer) -> None:
        if answer.refused:
            self._robots.forbid(task)
            while other := self._journal.next(task.host, reading=True):
                self._agenda.fail(other, "skipped", PRIVATE, answer.fault)
            return
        target = self._target(task, answer)
        self._agenda.finish(task, "moved" if target else "read")
        if int(task.notes.get("hops", "0")) >= _REDIRECTS:
            target = None
        text = done.fault if answer.body is not None else ""
        self._robots.settle(task, text, target or "")
        self._tally.recount()

    def _target(self, task: Task, answer: Answer) -> str | None:
        if answer.status not in _MOVED:
            return None
        return normalize(answer.headers.get("location", ""), task.url)

    def _settle_without(self, task: Task, answer: Answer) -> None:
        """There are no contents: elsewhere, perhaps."""
        target = self._target(task, answer)
        hops = int(task.notes.get("hops", "0"))
        if target and hops < _REDIRECTS:
            if task.kind in ("page", "style") and not task.notes.get("anywhere"):
                site = task.notes.get("site", task.url)
                if not same_site(target, site) and not task.notes.get("seed"):
                    self._agenda.finish(task, "skipped", "leads to another site", target)
                    return
            notes = {**task.notes, "hops": str(hops + 1)}
            if task.notes.get("seed"):
                notes["site"] = target
            self._agenda.redirect(task, target, notes)
            return
        if answer.refused:
            outcome, reason = "skipped", PRIVATE
        elif answer.fault:
            too_large = task.kind == "picture" and answer.fault.startswith("is larger than")
            outcome = "failed"
            reason = "larger than --max-file" if too_large else answer.fault.partition(" (")[0]
        elif answer.status in _MOVED:
            outcome, reason = "failed", "redirected too often, or nowhere"
        else:
            outcome, reason = "failed", f"HTTP status {answer.status}"
        self._agenda.fail(task, outcome, reason, answer.fault)

    def _settle_picture(self, task: Task, picture: Picture, answer: Answer, place: Place) -> None:
        if task.kind != "picture":
            task = self._agenda.take_for_picture(task)
        if picture.refused in VARIABLE:
            self._agenda.fail(task, "skipped", picture.refused)
            return
        if not place.name:
            outcome = "skipped" if picture.refused else "duplicate"
            self._agenda.finish(task, outcome, place.reason)
            return
        page = task.notes.get("page", "")
        for url in self._album.enter(picture, place, answer, task.url, page):
            self._journal.change_outcome(url, "replaced", "a near-duplicate of a better one")
            self._tally.count("picture", "kept", number=-1)
            self._tally.count("picture", "replaced")
        self._agenda.finish(task, "kept")

    # Telling

    def _progress(self, pause: float) -> Progress:
        tally = self._tally
        return Progress(
            pages=tally.read,
            found=tally.found,
            kept=len(self._album),
            skipped=tally.skipped,
            failed=tally.failed,
            waiting=tally.waiting,
            bytes=self._budget.used,
            seconds=time.monotonic() - self._began,
            pause=pause,
            stopping=self._stop,
        )

    def _check_fruitless(self) -> None:
        if not self._tally.in_vain:
            return
        url, reason = self._journal.first_fault()
        given_up = self._hosts.given_up()
        if not url and given_up and not self._stop:
            raise RunError(f"{given_up[0][0]}: {given_up[0][1]}; try again later")
        if url:
            if reason.endswith(PRIVATE):
                raise OptionError(f"{url}: {reason}; if it is yours, add --allow-private")
            later = reason.startswith(("HTTP status 5", "HTTP status 429"))
            remedy = "try again later" if later else "check the address"
            raise RunError(f"{url}: {reason}; {remedy}")
