"""What is to be asked for, and what becomes of it: links, mentions of pictures, their variants.

An address is put down once. What is said of it later counts all the same: a shorter way to a page,
more about a picture, another address at which it may be had.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping, Sequence

from impasto.collect.album import Album
from impasto.collect.filters import refuse_unseen
from impasto.collect.found import Candidate, Credit, Found, Link
from impasto.collect.journal import Journal, Task
from impasto.collect.options import CollectOptions
from impasto.collect.tally import FORBIDDEN, Tally
from impasto.collect.urls import host_of, is_trap, same_site

_BARREN = 12
"""Sum over the next pages since the last new picture, after which no more of them are asked for:
1 for each that brought new links, on which pictures may be, and 4 for each that brought nothing."""
_VARIANTS = 5
_UNLICENSED = "no licence stated"
VARIABLE = (FORBIDDEN, "another format", "too large")
"""Why a picture is left out that may hold for one of its variants and not for another."""
_CIRCLE = "redirected in a circle"
_NO_PICTURE = "no picture that can be read"
_KNOWN = "leads to the same address as another"
_CREDITS = (("page",), ("title",), ("author",), ("license", "license_url", "attribution"))
"""Notes of a picture that come from one mention together, the first of each telling whether."""


def said(notes: Mapping[str, str]) -> Credit:
    """What the pages that named a picture say about it."""
    names = ("title", "author", "license", "license_url", "attribution")
    return Credit(*(notes.get(name, "") for name in names))


class Agenda:
    """The addresses of a collection.

    Args:
        journal: where they are put down.
        tally: where they are counted.
        album: the pictures that are kept already.
        options: how far to follow links, and what to leave out.
    """

    def __init__(
        self, journal: Journal, tally: Tally, album: Album, options: CollectOptions
    ) -> None:
        self._journal, self._tally, self._album = journal, tally, album
        self._options = options

    def finish(self, task: Task, outcome: str, reason: str = "", detail: str = "") -> None:
        """An address is done with."""
        self._journal.finish(task, outcome, reason, detail)
        self._tally.queue(task.host, task.kind, -1)
        self._tally.count(task.kind, outcome, reason)
        if task.kind == "robots":
            return
        for other in self._journal.joined(task.url):
            if outcome == "joined" or (outcome == "moved" and not reason):
                self._journal.finish(other, "joined", _KNOWN, detail)
            elif outcome not in ("kept", "duplicate"):
                self._reopen(other, other.notes)
                self.fail(
                    other,
                    "skipped" if outcome == "skipped" else "failed",
                    reason or _NO_PICTURE,
                )

    def fail(self, task: Task, outcome: str, reason: str, detail: str = "") -> None:
        """An address is of no use; if it was the best of a picture's, the next one is asked for."""
        rest = _variants(task.notes)
        for place, url in enumerate(rest):
            notes = {**task.notes, "variants": json.dumps(rest[place + 1 :]), "hops": "0"}
            if not self._hand_over(task, url, notes, reason):
                return
        self.finish(task, outcome, reason, detail)

    def redirect(self, task: Task, target: str, notes: Mapping[str, str]) -> None:
        """An address leads to another one.

        Args:
            task: what asked for it.
            target: where it leads.
            notes: what is to be known when that answers.
        """
        if task.kind == "picture":
            if fault := self._hand_over(task, target, notes):
                self.fail(task, *fault)
            return
        task, known = self._found(task.url), self._journal.end_of(target)
        if known is not None and known.url == task.url:
            self.fail(task, "failed", _CIRCLE)
            return
        self.finish(task, "moved", detail=target)
        link = Link(target, task.kind, 0, notes=notes)  # pyright: ignore[reportArgumentType]
        self._journal.keep_links(task, [link])
        self._add_links(task, [link])

    def follow(self, task: Task, found: Found) -> None:
        """An answer has been read."""
        # A shorter way to it may have been found meanwhile.
        task = self._found(task.url)
        before = self._tally.found
        new = sum(self._add_picture(task, candidate) for candidate in found.pictures)
        links = [link for link in found.links if self._may_follow(task, link)]
        if task.depth:
            self._journal.keep_links(task, links)
        further = self._add_links(task, [link for link in links if not link.pagination])
        # What the next pages before this one led to has been read meanwhile, or part of it.
        fruitful = new or before > int(task.notes.get("found", "0"))
        barren = 0 if fruitful else int(task.notes.get("barren", "0")) + (1 if further else 4)
        if barren < _BARREN:
            notes = {"barren": str(barren), "found": str(before + new)}
            self._add_links(task, [link for link in links if link.pagination], notes)
        empty = found.fault and not found.pictures and not found.links
        outcome = "failed" if empty and task.notes.get("seed") else "read"
        self.finish(task, outcome, found.fault)

    def take_for_picture(self, task: Task) -> Task:
        """What was taken for a page is a picture, and counts as one."""
        self._journal.change_kind(task.url, "picture")
        self._tally.queue(task.host, task.kind, -1)
        self._tally.queue(task.host, "picture")
        found = self._journal.find(task.url)
        assert found is not None
        return found

    # Pictures

    def _add_picture(self, task: Task, candidate: Candidate) -> bool:
        """Puts a picture down; whether it was not there already."""
        credit = candidate.credit
        notes = {
            "page": candidate.page or ("" if task.kind == "api" else task.url),
            "title": credit.title or candidate.words[:300],
            "author": credit.author,
            "license": credit.license,
            "license_url": credit.license_url,
            "attribution": credit.attribution,
            "variants": json.dumps(candidate.urls[1 : 1 + _VARIANTS]),
        }
        notes = {key: value for key, value in notes.items() if value}
        refused = refuse_unseen(candidate, self._options)
        known = self._journal.end_of(candidate.urls[0])
        if known is None:
            outcome = "unasked" if refused else ""
            self._add(candidate.urls[0], "picture", task.depth, notes, outcome, refused)
            return True
        return not refused and self._mention(known, notes)

    def _mention(self, known: Task, notes: Mapping[str, str]) -> bool:
        """Something names a picture that is known; whether it is asked for now, as it was not."""
        merged = _merged(known.notes, notes)
        unlicensed = known.reason == _UNLICENSED and not known.notes.get("license")
        if known.outcome == "unasked":
            # What was said before is why it was left out.
            self._reopen(known, notes)
            return True
        if unlicensed and merged.get("license"):
            self._reopen(known, merged)
            return True
        if known.kind == "picture" and (known.outcome == "failed" or known.reason in VARIABLE):
            tried = set(_variants(known.notes))
            if any(url not in tried for url in _variants(notes)):
                self._reopen(known, merged)
                self.fail(self._found(known.url), known.outcome, known.reason, known.detail)
                return self._found(known.url).outcome != known.outcome
        if merged != known.notes:
            self._journal.note(known, merged)
            if known.outcome == "kept":
                self._album.credit(known.url, said(merged), merged.get("page", ""))
        return False

    def _hand_over(
        self, task: Task, url: str, notes: Mapping[str, str], reason: str = ""
    ) -> tuple[str, str] | None:
        """Has a picture looked for at another address; where that is known to be of no use, nothing
        is done, and its outcome and reason are returned."""
        known = self._journal.end_of(url)
        if known is None:
            self.finish(task, "moved", reason, url)
            self._add(url, "picture", task.depth, notes)
        elif known.url == task.url:
            return "failed", _CIRCLE
        elif known.outcome in ("failed", "skipped"):
            return known.outcome, known.reason
        elif known.outcome in ("read", "unchanged", "moved"):
            return "failed", _NO_PICTURE
        elif known.outcome == "unasked":
            self.finish(task, "moved", reason, known.url)
            self._reopen(known, notes)
        else:
            self.finish(task, "joined", _KNOWN, known.url)
            self._mention(known, notes)
        return None

    # Links

    def _may_follow(self, task: Task, link: Link) -> bool:
        if is_trap(link.url) or (link.pagination and not self._options.pagination):
            return False
        site = task.notes.get("site", task.url)
        return bool(link.kind == "api" or link.notes.get("anywhere") or same_site(link.url, site))

    def _add_links(
        self, task: Task, links: Sequence[Link], notes: Mapping[str, str] | None = None
    ) -> int:
        """Puts links down, as far as the depth allows.

        One that was known to be farther away is so no more, nor is what it led to.

        Returns:
            How many addresses are new.
        """
        new = 0
        todo = deque((task, link, notes or {}) for link in links)
        while todo:
            origin, link, more = todo.popleft()
            depth = origin.depth + link.steps
            if depth > self._options.depth:
                continue
            site = origin.notes.get("site", origin.url)
            noted = {"site": site, **link.notes, **more}
            known = self._journal.find(link.url)
            if known is None:
                self._add(link.url, link.kind, depth, noted)
                new += 1
            elif depth < known.depth and known.kind != "picture":
                self._journal.lower(known, depth, {**known.notes, **noted})
                known = self._found(link.url)
                if known.outcome:
                    todo.extend((known, further, {}) for further in self._journal.links(known))
        return new

    # The journal

    def _found(self, url: str) -> Task:
        task = self._journal.find(url)
        assert task is not None
        return task

    def _add(
        self,
        url: str,
        kind: str,
        depth: int,
        notes: Mapping[str, str],
        outcome: str = "",
        reason: str = "",
    ) -> None:
        host = host_of(url)
        self._journal.add(url, host, kind, depth, notes, outcome=outcome, reason=reason)
        if outcome:
            self._tally.count(kind, outcome)
        else:
            self._tally.queue(host, kind)

    def _reopen(self, task: Task, notes: Mapping[str, str]) -> None:
        self._journal.reopen(task, notes)
        self._tally.count(task.kind, task.outcome, task.reason, -1)
        self._tally.queue(task.host, task.kind)


def _variants(notes: Mapping[str, str]) -> list[str]:
    return json.loads(notes.get("variants", "[]"))


def _merged(old: Mapping[str, str], new: Mapping[str, str]) -> dict[str, str]:
    """What two mentions of a picture say together: the words of the fuller one, the former of two
    that are alike, and those of the other where it says nothing."""

    def fullness(notes: Mapping[str, str]) -> int:
        return sum(bool(notes.get(name)) for name in ("title", "author", "license"))

    fuller, other = (new, old) if fullness(new) > fullness(old) else (old, new)
    names = {name for group in _CREDITS for name in group}
    merged = {name: text for name, text in old.items() if name not in names}
    for group in _CREDITS:
        source = fuller if fuller.get(group[0]) else other
        merged |= {name: source[name] for name in group if source.get(name)}
    variants = list(dict.fromkeys([*_variants(old), *_variants(new)]))
    if variants:
        merged["variants"] = json.dumps(variants[:_VARIANTS])
    return merged
