"""Open collections on this machine: answers like theirs, served as their interfaces would."""

from pathlib import Path

from impasto.collect.crawl import Crawl
from impasto.collect.manifest import Entry, read_manifest
from impasto.collect.sources import Source
from web_site import Reply, Site, quick

ANSWERS = Path(__file__).parent / "answers"


def answer(site: Site, name: str) -> Reply:
    """An answer whose addresses are those of this server."""
    text = (ANSWERS / f"{name}.json").read_text("utf-8").replace("SITE", site.url)
    return Reply(text.encode(), headers={"Content-Type": "application/json"})


def collected(site: Site, source: Source, url: str, folder: Path, **values: object) -> list[Entry]:
    """What a collection by one source keeps."""
    crawl = Crawl([url], folder, quick(**values), sources=(source,), backoff=0.001)
    for _ in crawl.run():
        pass
    crawl.close()
    return read_manifest(folder)
