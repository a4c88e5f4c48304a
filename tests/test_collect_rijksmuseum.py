"""The Rijksmuseum, by answers like those of its linked-data services."""

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
    English title that it goes by, the maker, and the rights of the picture, not those of the
    records about it."""
    with served() as site:
        source = rijksmuseum(site)
        kept = collected(site, source, f"{site.url}/search/collection?type=painting", tmp_path)
        (one,) = kept
        assert one.url == f"{site.url}/micrio/abcde/full/max/0/default.jpg"
        assert (one.title, one.author, one.license) == (
            "View of a Mill",
            "attributed to Mia Noor",
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


def test_makers_of_an_object() -> None:
    """Where nothing is said of an object as a whole, all who took part are named, in English; where
    they have no names, what is said of their part."""

    def maker(production: object) -> str:
        shown = {"type": "HumanMadeObject", "produced_by": production}
        shown["shows"] = [{"id": "https://id.rijksmuseum.nl/2"}]
        (link,) = Rijksmuseum().read(shown, {}).links
        return link.notes.get("author", "")

    names = [{"@language": "nl", "@value": "Jan de Oude"}, {"@language": "en", "@value": "Jan I"}]
    part = {"carried_out_by": [{"notation": names}]}
    other = {"carried_out_by": [{"notation": [{"@language": "nl", "@value": "Piet"}]}]}
    assert maker({"part": [part, other, part]}) == "Jan I, Piet"
    assert maker(part) == "Jan I"
    words = [{"type": "LinguisticObject", "content": ["drawn by A", "etched by B"]}]
    assert maker({"part": [{"referred_to_by": words}]}) == "drawn by A; etched by B"
    assert maker(None) == ""
