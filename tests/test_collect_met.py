"""The Metropolitan Museum of Art, by answers like those of its API."""

from pathlib import Path

from collections_served import answer, collected
from impasto.collect.sources.met import Met
from web_site import Site, picture, served


def met(site: Site) -> Met:
    """A server with two objects, one of them open access."""
    site.pages.update(
        {
            "/api/search?hasImages=true&q=harbour": answer(site, "met-search"),
            "/api/objects/101": answer(site, "met-101"),
            "/api/objects/102": answer(site, "met-102"),
            "/met/101.jpg": picture(1),
            "/met/101-back.jpg": picture(2),
        }
    )
    return Met(site.url, f"{site.url}/api")


def test_a_search(tmp_path: Path) -> None:
    """A search gives the pictures of the objects that are open access, under CC0, the largest
    version of each."""
    with served() as site:
        source = met(site)
        kept = collected(site, source, f"{site.url}/art/collection/search?q=harbour", tmp_path)
        assert [e.url.removeprefix(site.url) for e in kept] == ["/met/101.jpg", "/met/101-back.jpg"]
        assert {(e.title, e.author, e.license) for e in kept} == {
            ("Harbour in Fog", "Eve Fogg", "cc0")
        }
        assert kept[0].page == f"{site.url}/art/collection/search/101"
        assert kept[0].attribution.startswith('"Harbour in Fog" by Eve Fogg, CC0 1.0, ')
        assert site.paths()["/api/objects/102"] == 1


def test_addresses_of_the_met(tmp_path: Path) -> None:
    """Objects and searches with words are recognised, other pages of the site are pages."""
    source = Met()
    link = source.start("https://www.metmuseum.org/art/collection/search/436535")
    assert link.url.endswith("/public/collection/v1/objects/436535")
    assert source.matches("https://www.metmuseum.org/art/collection/search?q=cats&offset=40")
    assert not source.matches("https://www.metmuseum.org/art/collection/search")
    assert not source.matches("https://www.metmuseum.org/visit")
    assert source.read("odd", {}).fault
    assert source.read({"isPublicDomain": False}, {}).fault == "is not open access"
    # What a search without a result gives.
    nothing = source.read({"total": 0, "objectIDs": None}, {})
    assert (nothing.links, nothing.fault) == ((), "")
