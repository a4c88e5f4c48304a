"""The Art Institute of Chicago, by answers like those of its API."""

from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from collections_served import answer, collected
from impasto.collect.sources.artic import ArtInstituteOfChicago
from web_site import Reply, Request, Site, picture, served


def artic(site: Site) -> ArtInstituteOfChicago:
    """A server with a search of two pages; the large version of one picture is missing."""

    def search(line: Request) -> Reply:
        asked = parse_qs(urlsplit(line.path).query)
        assert asked["q"] == ["pears"]
        return answer(site, f"artic-search-{asked['page'][0]}")

    site.any_query["/api/artworks/search"] = search
    site.any_query["/api/artworks/201"] = answer(site, "artic-201")
    site.pages.update(
        {
            "/iiif/2/aaaa-1/full/1686,/0/default.jpg": picture(1),
            "/iiif/2/aaaa-2/full/843,/0/default.jpg": picture(2),
        }
    )
    return ArtInstituteOfChicago(site.url, f"{site.url}/api")


def test_a_search(tmp_path: Path) -> None:
    """A search gives, to its last page, the pictures in the public domain, under CC0, in the larger
    of the two widths that there is."""
    with served() as site:
        source = artic(site)
        kept = collected(site, source, f"{site.url}/collection?q=pears", tmp_path)
        assert [e.url.removeprefix(f"{site.url}/iiif/2/") for e in kept] == [
            "aaaa-1/full/1686,/0/default.jpg",
            "aaaa-2/full/843,/0/default.jpg",
        ]
        assert {(e.title, e.author, e.license, e.page) for e in kept} == {
            ("Two Pears", "Ida Jay", "cc0", f"{site.url}/artworks/201")
        }
        assert sum("/search?" in line.path for line in site.log) == 2
        assert not any("bbbb" in line.path for line in site.log)


def test_one_artwork_with_words(tmp_path: Path) -> None:
    """A single artwork is asked for by its number, and word filters see its description."""
    with served() as site:
        source = artic(site)
        url = f"{site.url}/artworks/201/two-pears"
        assert len(collected(site, source, url, tmp_path / "a", words="pears")) == 1
        assert collected(site, source, url, tmp_path / "b", words="apples") == []


def test_addresses_of_the_art_institute() -> None:
    """Artworks and searches are recognised, other pages of the site are pages."""
    source = ArtInstituteOfChicago()
    assert "/artworks/27992?" in source.start("https://www.artic.edu/artworks/27992/x").url
    assert not source.matches("https://www.artic.edu/collection")
    assert not source.matches("https://www.artic.edu/artworks/")
    assert source.read({"data": 3}, {}).fault
    assert source.read(None, {}).fault
