"""Wikimedia Commons, by answers like those of the MediaWiki action API."""

from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from collections_served import answer, collected
from impasto.collect.sources.commons import Commons
from web_site import Reply, Request, Site, encoded, painted, picture, served


def commons(site: Site) -> Commons:
    """A server with a category in two parts and a sub-category."""

    def api(line: Request) -> Reply:
        asked = parse_qs(urlsplit(line.path).query)
        assert asked["action"] == ["query"]
        if "gcmcontinue" in asked:
            return answer(site, "commons-rest")
        if asked.get("gcmtitle") == ["Category:Oaks"]:
            return answer(site, "commons-category")
        return Reply(b'{"batchcomplete": true}')

    site.pages.update(
        {
            "/robots.txt": b"User-agent: *\nDisallow: /w/",
            "/commons/oak.jpg": picture(1),
            "/commons/leaf-2048.png": encoded(painted(2), "PNG"),
            "/commons/acorn-2048.png": encoded(painted(3), "PNG"),
        }
    )
    site.any_query["/w/api.php"] = api
    return Commons(site.url)


def test_a_category_with_credits(tmp_path: Path) -> None:
    """A category gives its files to the last, each with title, author, licence and page; drawings
    and lost originals as rendered pictures, sounds not at all."""
    with served() as site:
        source = commons(site)
        kept = collected(site, source, f"{site.url}/wiki/Category:Oaks", tmp_path)
        facts = {e.title: (e.author, e.license, e.url.removeprefix(site.url)) for e in kept}
        assert facts == {
            "Old oak at dusk": ("Ann Bee", "by-sa", "/commons/oak.jpg"),
            "Leaf": ("Unknown", "pd", "/commons/leaf-2048.png"),
            "Acorn": ("", "cc0", "/commons/acorn-2048.png"),
        }
        pages = {e.title: e.page.removeprefix(site.url) for e in kept}
        assert pages["Old oak at dusk"] == "/wiki/File:Old_oak_at_dusk.jpg"
        assert {e.title: e.attribution for e in kept}["Acorn"] == "Photo: C. Dee"
        assert not any("rustle" in line.path or "winter" in line.path for line in site.log)


def test_sub_categories_take_depth(tmp_path: Path) -> None:
    """Sub-categories are asked for as deep as links would be."""
    with served() as site:
        source = commons(site)
        collected(site, source, f"{site.url}/wiki/Category:Oaks", tmp_path, depth=1)
        assert any("Oaks+in+winter" in line.path for line in site.log)


def test_only_wanted_licences_are_fetched(tmp_path: Path) -> None:
    """Where the answer states a licence that is not wanted, the picture is not even fetched."""
    with served() as site:
        source = commons(site)
        kept = collected(site, source, f"{site.url}/wiki/Category:Oaks", tmp_path, license="cc0,pd")
        assert {e.license for e in kept} == {"cc0", "pd"}
        assert "/commons/oak.jpg" not in site.paths()


def test_addresses_of_commons() -> None:
    """Categories and files are recognised, other pages of the site are pages."""
    source = Commons()
    assert source.matches("https://commons.wikimedia.org/wiki/Category:Quercus_robur")
    assert not source.matches("https://commons.wikimedia.org/wiki/Main_Page")
    assert not source.matches("https://en.wikipedia.org/wiki/Category:Oaks")
    link = source.start("https://commons.wikimedia.org/wiki/File:Old_oak.jpg")
    assert parse_qs(urlsplit(link.url).query)["titles"] == ["File:Old oak.jpg"]
    assert source.read(["odd"], {}).fault
    assert source.read({"error": {"info": "no such thing"}}, {}).fault == "no such thing"
