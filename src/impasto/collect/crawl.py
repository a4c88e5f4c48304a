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
from collections import Counter
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from impasto.collect.addresses import Guard
from impasto.collect.album import Album, Picture, Place, look
from impasto.collect.answers import Answer
from impasto.collect.connections import Connect, Stopped, Watch
from impasto.collect.fetching import PAGE_BYTES, Fetcher
from impasto.collect.filters import refuse_unseen
from impasto.collect.found import Candidate, Credit, Found, Link
from impasto.collect.journal import Journal, Task
from impasto.collect.options import BUDGETS, MANNERS, CollectOptions
from impasto.collect.pages import reserves_picture
from impasto.collect.politeness import (
    ROBOTS_BYTES,
    ROBOTS_SECONDS,
    Budget,
    BudgetSpentError,
    Host,
    Rules,
    retry_after,
)
from impasto.collect.reading import read_answer
from impasto.collect.sources import SOURCES, Source
from impasto.collect.urls import (
    host_of,
    is_trap,
    normalize,
    origin_of,
    same_site,
)
from impasto.errors import ImageError, OptionError, OutputError, RunError, one_line
from impasto.images import is_picture, output_error

_WORK = ".impasto-collect"
_REDIRECTS = 8
_MOVED = {301, 302, 303, 307, 308}
_BUSY = {429, 503}
_TROUBLED = {408, 425, 500, 502, 504, 520, 521, 522, 523, 524}
_FORBIDDEN = "robots.txt forbids it"
_PRIVATE = "not on the public internet"
_TOO_MANY = "too many style sheets"
_FRUITLESS = 10
"""Pages that lead elsewhere or cannot be read, and style sheets, for each page of --max-pages."""
_LEFT_OUT = ("skipped", "unasked", "duplicate", "replaced", "deleted")
_GRACE = 5.0
"""Seconds that what is under way is waited for when a collection ends before its time."""
_RELEASE = 2.0
"""Seconds more until a request that is broken off must have noticed."""
_BARREN = 3
"""Next pages in a row without a new picture, after which no more of them are asked for."""


@dataclass(frozen=True)
class Progress:
    """How far a collection has come, this run and those before it.

    Attributes:
        pages: pages, feeds, records and style sheets read.
        found: different addresses of pictures so far.
        kept: pictures in the folder.
        skipped: pictures left out by a rule or filter, or near-duplicates.
        failed: pictures that could not be had.
        waiting: addresses still to be asked for.
        bytes: received.
        seconds: of this run.
        pause: seconds until the next request, where all hosts want to be left alone.
        stopping: why nothing more is asked for and only what is under way awaited; empty while
            that is not so.
    """

    pages: int
    found: int
    kept: int
    skipped: int
    failed: int
    waiting: int
    bytes: int
    seconds: float
    pause: float = 0.0
    stopping: str = ""


@dataclass(frozen=True)
class Summary:
    """What came of a collection.

    Attributes:
        progress: the figures at the end.
        reasons: kind, outcome, reason and number of what was not kept, the most frequent first.
        unfinished: why it is not complete; empty where it is.
        left: addresses that were not asked for.
    """

    progress: Progress
    reasons: tuple[tuple[str, str, str, int], ...]
    unfinished: str
    left: int


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
        self._sources, self._backoff, self._patience = sources, backoff, patience
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
            self._begin(refresh)
        except BaseException:
            self._journal.close()
            raise
        self._watch = Watch()
        self._budget = Budget(self._options.max_bytes, int(self._journal.fact("bytes") or 0))
        guard = guard or Guard(self._options.allow_private)
        self._fetcher = Fetcher(
            self._waiting_folder, self._options, self._budget, guard, self._watch, connect
        )
        self._hosts: dict[str, Host] = {}
        self._rules: dict[str, Rules | None] = {}
        self._queue: Counter[tuple[str, bool]] = Counter()
        for host, kind, number in self._journal.waiting():
            self._queue[host, kind in ("page", "api")] += number
        self._tally: Counter[str] = Counter()
        for kind, outcome, reason, number in self._journal.outcomes():
            self._count(kind, outcome, reason, number)
        self._album = Album(self.folder, self._journal, self._options)
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
        before = self._journal.fact("command")
        if not before:
            with self._journal as journal:
                journal.state("command", now)
            return
        if before != now:
            old, new = json.loads(before), json.loads(now)
            changed = next(key for key in new if new[key] != old.get(key))
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
            if refresh and not journal.waiting():
                journal.begin_again()

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
        """
        try:
            more = self._album.tidy()
            self._count("picture", "kept", number=more)
            self._count("picture", "deleted", number=-more)
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
        outcomes = [
            (kind, outcome, reason, number)
            for kind, outcome, reason, number in self._journal.outcomes()
            if outcome not in ("kept", "moved") and reason
        ]
        merged: Counter[tuple[str, str, str]] = Counter()
        for kind, outcome, reason, number in outcomes:
            name = "failed" if outcome == "failed" else "skipped"
            merged["picture" if kind == "picture" else "page", name, reason] += number
        left = sum(number for _, kind, number in self._journal.waiting() if kind != "robots")
        return Summary(
            self._progress(0.0),
            tuple((*key, number) for key, number in merged.most_common()),
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
        with self._journal as journal:
            journal.state("bytes", str(self._budget.used))
        self._album.write_manifest()
        if not sum(self._queue.values()):
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
        return self._tally["read"] < self._options.max_pages and not self._fruitless

    @property
    def _fruitless(self) -> bool:
        return self._tally["fruitless"] >= _FRUITLESS * self._options.max_pages

    def _reluctant(self) -> str:
        """Why something is left although no limit is reached."""
        hosts = self._hosts.items()
        given_up = [f"{name}: {host.given_up}" for name, host in hosts if host.given_up]
        if given_up:
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
        for name in list(dict.fromkeys(host for (host, _), n in self._queue.items() if n > 0)):
            reading = self._may_read
            if not (self._queue[name, False] or (reading and self._queue[name, True])):
                continue
            host = self._host(name)
            if host.busy or host.given_up or self._busy >= self._options.hosts:
                continue
            wait = host.wait
            if wait <= 0:
                task = self._choose(name)
                if task is not None:
                    self._start(host, task)
                    continue
                due = self._journal.due(name, reading=reading)
                if due is None:
                    continue
                wait = max(due, 0.01)
            pause = wait if pause is None else min(pause, wait)
        return pause

    def _host(self, name: str) -> Host:
        if name not in self._hosts:
            host = self._hosts[name] = Host(self._options.delay)
            # A pause that was asked for holds for later runs too.
            self._leave_alone(host, float(self._journal.fact(f"pause {name}") or 0) - time.time())
        return self._hosts[name]

    def _leave_alone(self, host: Host, seconds: float) -> None:
        if seconds > self._patience:
            minutes = max(1, round(min(seconds, 1e9) / 60))
            host.given_up = f"it asks for a pause of {minutes} minute{'s' * (minutes > 1)}"
        elif seconds > 0:
            host.hold(seconds)

    def _choose(self, host: str) -> Task | None:
        """The next address of a host that may be asked for; what may not is done with."""
        while task := self._journal.next(host, reading=self._may_read):
            if task.kind == "robots":
                return task
            origin = origin_of(task.url)
            if origin not in self._rules:
                text = self._journal.robots(origin, time.time() - ROBOTS_SECONDS)
                if text is None:
                    return None if self._awaits(origin) else self._robots_task(origin)
                self._learn(origin, text)
                if self._host(host).given_up:
                    return None
            rules = self._rules[origin]
            # The documented interface of a collection is meant for programs: its rules for
            # wandering robots are not about it, but for the pause that they ask for.
            if rules is None or (task.kind != "api" and not rules.allow(task.url)):
                with self._journal:
                    self._finish(task, "skipped", _FORBIDDEN)
                continue
            if task.kind == "style" and self._fruitless:
                with self._journal:
                    self._finish(task, "skipped", _TOO_MANY)
                continue
            return task
        return None

    def _awaits(self, origin: str) -> bool:
        """Whether the rules of an origin are on their way, from another place that it named.

        While they are it is not asked, and where they cannot be had it is left alone like one that
        cannot say them itself (RFC 9309, section 2.3.1.4).
        """
        other = self._journal.robots_host(origin)
        host = host_of(origin)
        if not other:
            return False
        if reason := self._host(other).given_up:
            self._host(host).given_up = f"robots.txt cannot be had: {other}: {reason}"
        elif other != host:
            self._host(host).hold(0.2)
        return True

    def _robots_task(self, origin: str) -> Task | None:
        """The robots.txt of an origin, put down to be asked for; `None` while it is not due."""
        url = f"{origin}/robots.txt"
        with self._journal as journal:
            journal.ask_robots(url, host_of(url), {origin})
        self._recount()
        task = self._journal.next(host_of(url), reading=False)
        return task if task is not None and task.kind == "robots" else None

    def _recount(self) -> None:
        self._queue.clear()
        for host, kind, number in self._journal.waiting():
            self._queue[host, kind in ("page", "api")] += number

    def _learn(self, origin: str, text: str) -> None:
        rules = Rules(text)
        self._rules[origin] = rules
        host = self._host(host_of(origin))
        host.delay = max(host.delay, rules.delay)
        self._leave_alone(host, rules.delay if rules.delay > self._patience else 0.0)

    def _start(self, host: Host, task: Task) -> None:
        host.begin()
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
            cut=task.kind == "robots",
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
                picture = look(data, _said(task), self._options)
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
        host = self._host(task.host)
        host.end()
        if isinstance(done.error, BudgetSpentError | Stopped):
            return
        if isinstance(done.error, OSError):
            raise output_error(self._name, done.error) from done.error
        if done.error is not None:
            raise done.error
        answer, picture = done.answer, done.picture
        assert answer is not None
        if picture is not None and self._full:
            # It waits on disk, for a run that may keep more.
            return
        place = Place() if picture is None else self._album.place(picture, answer)
        with self._journal as journal:
            again = self._retry(task, answer, host)
            if again:
                pass
            elif task.kind == "robots":
                self._settle_robots(task, done, answer)
            elif picture is not None:
                self._settle_picture(task, picture, answer, place)
            elif answer.fault or answer.status not in (200, 304):
                self._settle_without(task, answer)
            elif answer.status == 304:
                self._finish(task, "unchanged")
            elif done.found is not None and task.kind != "picture":
                known = answer.headers.get("etag", ""), answer.headers.get("last-modified", "")
                journal.remember(task, *known)
                self._follow(task, done.found)
            else:
                self._fail(task, "failed", "no picture that can be read", done.fault)
            journal.state("bytes", str(self._budget.used))
        if not again:
            self._fetcher.forget(task.url)
        self._album.settle()

    def _retry(self, task: Task, answer: Answer, host: Host) -> bool:
        """Whether an address will be asked for again, and its host left alone until then."""
        busy, troubled = answer.status in _BUSY, answer.status in _TROUBLED
        if task.kind == "robots" and answer.fault and not answer.refused:
            # Rules that cannot be read are not to be taken for none.
            troubled = True
        if not (answer.again or busy or troubled):
            host.faults = 0
            return False
        host.faults += 1
        wait = self._backoff * 2**task.tries
        if busy or troubled:
            asked = retry_after(answer.headers.get("retry-after", ""))
            wait = max(wait, asked or 0.0)
        said = answer.fault or f"HTTP status {answer.status}"
        if task.kind == "robots":
            said = f"robots.txt cannot be had: {said}"
        last = task.tries + 1 >= self._options.attempts
        self._leave_alone(host, wait if wait > self._patience else 0.0)
        if busy:
            self._journal.state(f"pause {task.host}", str(time.time() + wait))
        if host.given_up:
            pass
        elif last and (busy or task.kind == "robots"):
            host.given_up = said
        elif host.faults >= 3 * self._options.attempts:
            # The host is in trouble, not the address: the others would fare no better.
            host.given_up = said
        elif last:
            return False
        # A server that is busy wants no request at all; a broken page is only that page.
        if busy or answer.again or task.kind == "robots":
            host.hold(wait)
        self._journal.postpone(task, wait)
        return True

    def _settle_robots(self, task: Task, done: _Done, answer: Answer) -> None:
        # Others may have been sent there since it was asked.
        origins = self._journal.robots_origins(task.url)
        target = self._target(task, answer)
        hops = int(task.notes.get("hops", "0"))
        if answer.refused:
            self._rules.update(dict.fromkeys(origins))
            self._forbid(task.host, answer.fault)
            return
        # Without a robots.txt everything is allowed (RFC 9309, section 2.3.1.3).
        text: str | None = done.fault if answer.body is not None else ""
        self._finish(task, "moved" if target else "read")
        if target and hops < _REDIRECTS:
            text = self._journal.robots(origin_of(target), time.time() - ROBOTS_SECONDS)
            if text is None or target != f"{origin_of(target)}/robots.txt":
                self._journal.ask_robots(target, host_of(target), origins, hops + 1)
                self._recount()
                return
        for origin in origins:
            self._journal.keep_robots(origin, text or "")
            self._learn(origin, text or "")

    def _forbid(self, host: str, reason: str) -> None:
        """A host cannot be asked at all."""
        while task := self._journal.next(host, reading=True):
            self._finish(task, "skipped", _PRIVATE, reason)

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
                    self._finish(task, "skipped", "leads to another site", target)
                    return
            notes = {**task.notes, "hops": str(hops + 1)}
            if task.notes.get("seed"):
                notes["site"] = target
            self._finish(task, "moved", detail=target)
            self._add(target, task.kind, task.depth, notes)
            return
        if answer.refused:
            self._fail(task, "skipped", _PRIVATE, answer.fault)
        elif answer.fault:
            too_large = task.kind == "picture" and answer.fault.startswith("is larger than")
            reason = "larger than --max-file" if too_large else answer.fault
            self._fail(task, "failed", reason.partition(" (")[0], answer.fault)
        elif answer.status in _MOVED:
            self._fail(task, "failed", "redirected too often, or nowhere")
        else:
            self._fail(task, "failed", f"HTTP status {answer.status}")

    def _fail(self, task: Task, outcome: str, reason: str, detail: str = "") -> None:
        """An address is of no use; if it was the best of a picture's, the next one is asked for."""
        rest = json.loads(task.notes.get("variants", "[]"))
        for place, url in enumerate(rest):
            notes = {**task.notes, "variants": json.dumps(rest[place + 1 :]), "hops": "0"}
            if self._add(url, "picture", task.depth, notes):
                self._finish(task, "moved", reason, detail)
                return
        self._finish(task, outcome, reason, detail)

    def _follow(self, task: Task, found: Found) -> None:
        new = sum(self._add_candidate(task, candidate) for candidate in found.pictures)
        barren = 0 if new else int(task.notes.get("barren", "0")) + 1
        for link in found.links:
            self._add_link(task, link, barren)
        empty = found.fault and not found.pictures and not found.links
        if empty and task.notes.get("seed"):
            self._finish(task, "failed", found.fault)
        else:
            self._finish(task, "read", found.fault)

    def _add_candidate(self, task: Task, candidate: Candidate) -> bool:
        credit = candidate.credit
        notes = {
            "page": candidate.page or ("" if task.kind == "api" else task.url),
            "title": credit.title or candidate.words[:300],
            "author": credit.author,
            "license": credit.license,
            "license_url": credit.license_url,
            "attribution": credit.attribution,
            "variants": json.dumps(candidate.urls[1:6]),
        }
        refused = refuse_unseen(candidate, self._options)
        return self._add(
            candidate.urls[0],
            "picture",
            task.depth,
            {key: value for key, value in notes.items() if value},
            outcome="unasked" if refused else "",
            reason=refused,
        )

    def _add_link(self, task: Task, link: Link, barren: int) -> None:
        depth = task.depth + link.steps
        site = task.notes.get("site", task.url)
        if depth > self._options.depth or is_trap(link.url):
            return
        if link.kind != "api" and not link.notes.get("anywhere") and not same_site(link.url, site):
            return
        notes = {**link.notes, "site": site}
        if link.pagination:
            if not self._options.pagination or barren >= _BARREN:
                return
            notes["barren"] = str(barren)
        self._add(link.url, link.kind, depth, notes)

    def _add(
        self,
        url: str,
        kind: str,
        depth: int,
        notes: dict[str, str],
        *,
        outcome: str = "",
        reason: str = "",
    ) -> bool:
        host = host_of(url)
        known = self._journal.outcome(url)
        new = self._journal.add(url, host, kind, depth, notes, outcome=outcome, reason=reason)
        if new and known == "unasked":
            self._count("picture", "unasked", number=-1)
        if new and outcome:
            self._count(kind, outcome)
        elif new:
            self._queue[host, kind in ("page", "api")] += 1
        return new

    def _finish(self, task: Task, outcome: str, reason: str = "", detail: str = "") -> None:
        self._journal.finish(task, outcome, reason, detail)
        key = task.host, task.kind in ("page", "api")
        self._queue[key] -= 1
        if self._queue[key] <= 0:
            del self._queue[key]
        self._count(task.kind, outcome, reason)

    def _settle_picture(self, task: Task, picture: Picture, answer: Answer, place: Place) -> None:
        if task.kind != "picture":
            # What was taken for a page is a picture, and counts as one.
            self._journal.change_kind(task.url, "picture")
            self._queue[task.host, True] -= 1
            self._queue[task.host, False] += 1
            task = replace(task, kind="picture")
        if not place.name:
            self._finish(task, "skipped" if picture.refused else "duplicate", place.reason)
            return
        page = task.notes.get("page", "")
        for url in self._album.enter(picture, place, answer, task.url, page):
            self._journal.change_outcome(url, "replaced", "a near-duplicate of a better one")
            self._count("picture", "kept", number=-1)
            self._count("picture", "replaced")
        self._finish(task, "kept")

    # Telling

    def _count(self, kind: str, outcome: str, reason: str = "", number: int = 1) -> None:
        if kind == "picture":
            self._tally[outcome] += number
        elif kind in ("page", "api") and outcome in ("read", "unchanged"):
            self._tally["read"] += number
        elif kind != "robots" and reason not in (_FORBIDDEN, _PRIVATE, _TOO_MANY):
            self._tally["fruitless"] += number

    def _progress(self, pause: float) -> Progress:
        tally = self._tally
        skipped = sum(tally[key] for key in _LEFT_OUT)
        waiting = sum(self._queue.values())
        pictures = sum(number for (_, reading), number in self._queue.items() if not reading)
        return Progress(
            pages=tally["read"],
            found=tally["kept"] + skipped + tally["failed"] + pictures,
            kept=len(self._album),
            skipped=skipped,
            failed=tally["failed"],
            waiting=waiting,
            bytes=self._budget.used,
            seconds=time.monotonic() - self._began,
            pause=pause,
            stopping=self._stop,
        )

    def _check_fruitless(self) -> None:
        tally = self._tally
        if tally["read"] or tally["kept"] or tally["skipped"] or tally["duplicate"]:
            return
        url, reason = self._journal.first_fault()
        if not url and not self._stop:
            name, host = next(((n, h) for n, h in self._hosts.items() if h.given_up), ("", None))
            if host is not None:
                raise RunError(f"{name}: {host.given_up}; try again later")
        if url:
            raise RunError(f"{url}: {reason}; check the address")


def _said(task: Task) -> Credit:
    """What the page that named a picture says about it."""
    names = ("title", "author", "license", "license_url", "attribution")
    return Credit(*(task.notes.get(name, "") for name in names))
