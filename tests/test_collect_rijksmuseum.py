"""The Rijksmuseum, by recorded answers of its linked-data services."""

from pathlib import Path

from collections_served import answer, collected
from impasto.collect.sources.rijksmuseum import Rijksmuseum
from web_site import Site, picture, served


def rijksmuseum(site: Site) -> Rijksmuseum:
    """A server with a search of two pages; the second object shows nothing."""
    for name in ("200301", "202301", "500301", "200302"):
        site.any_query[f"/{name}"] = answer(site, f"rijksmuseum-{name}")
    first = "/search/collection?type=painting&imageAvailable=true"
    site.pages.update(
        {
            first: answer(site, "rijksmuseum-search"),
            "/search/collection?type=painting&pageToken=abc": answer(site, "rijksmuseum-rest"),
            "/micrio/abcde/full/max/0/default.jpg": picture(1),
        }
    )
    return Rijksmuseum(f"{site.url}/www", site.url, f"{site.url}/id")


def test_a_search(tmp_path: Path) -> None:
    """A search leads, over what an object shows and its digital object, to the picture, with the
    English title, the maker, and the rights that are stated on the way."""
    with served() as site:
        source = rijksmuseum(site)
        kept = collected(site, source, f"{site.url}/search/collection?type=painting", tmp_path)
        (one,) = kept
        assert one.url == f"{site.url}/micrio/abcde/full/max/0/default.jpg"
        assert (one.title, one.author, one.license) == (
            "View of a Mill",
            "painter: Mia Noor",
            "pd",
        )
        assert one.page == f"{site.url}/id/200301"
        assert any(line.path.startswith("/200302?") for line in site.log)


def test_addresses_of_the_rijksmuseum() -> None:
    """Objects by number or identifier and searches are recognised, other pages are pages."""
    source = Rijksmuseum()
    link = source.start("https://www.rijksmuseum.nl/en/collection/SK-C-5")
    assert link.url == (
        "https://data.rijksmuseum.nl/search/collection?objectNumber=SK-C-5&imageAvailable=true"
    )
    assert "/200107928?" in source.start("https://id.rijksmuseum.nl/200107928").url
    assert not source.matches("https://www.rijksmuseum.nl/en/visit")
    assert source.read([], {}).fault
    assert source.read({"type": "Person"}, {}).fault
    # The next page must be the service's own.
    elsewhere = {"orderedItems": [], "next": {"id": "https://elsewhere.example/"}}
    assert source.read(elsewhere, {}).links == ()
