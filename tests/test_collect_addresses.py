"""Who may be asked: no private machine, by whatever trick a name or a redirect leads there."""

from pathlib import Path

import pytest

from impasto.collect.addresses import Guard, PrivateAddressError, is_public
from impasto.collect.crawl import Crawl
from impasto.collect.manifest import read_manifest
from impasto.collect.urls import is_trap, normalize, same_site
from impasto.errors import OptionError, RunError
from web_site import Names, Reply, Site, picture, quick, served

PUBLIC = "93.184.215.14"


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fe80::1%eth0",
        "fc00::1",
        "fec0::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "2002:7f00:1::",
        "64:ff9b::7f00:1",
        "2001:0:53aa:64c:0:0:80ff:fffe",
        "::127.0.0.1",
        "::93.184.215.14",
        "::ffff:0:127.0.0.1",
        "64:ff9b:1::7f00:1",
        "64:ff9b:1:ffff::5db8:d70e",
        "3fff::1",
        "5f00::1",
        "192.88.99.1",
        "localhost",
    ],
)
def test_private_addresses_are_known(address: str) -> None:
    """Private, loopback, link-local, shared, reserved and multicast addresses are not public, nor
    IPv6 addresses that carry such an IPv4 one."""
    assert not is_public(address)


@pytest.mark.parametrize(
    "address", [PUBLIC, "2606:4700::1111", "::ffff:93.184.215.14", "64:ff9b::5db8:d70e"]
)
def test_public_addresses_are_known(address: str) -> None:
    """Addresses of the public internet are public."""
    assert is_public(address)


def test_one_private_address_condemns_a_name() -> None:
    """A name with a public and a private address is refused, whichever would be tried first."""
    guard = Guard(resolve=lambda *_: [PUBLIC, "10.0.0.1"])
    with pytest.raises(PrivateAddressError, match=r"10\.0\.0\.1"):
        guard.addresses("tricky.example", 80)
    assert Guard(True, lambda *_: ["10.0.0.1"]).addresses("own.example", 80) == ["10.0.0.1"]


@pytest.mark.parametrize("place", ["127.0.0.1", "localhost", "[::1]", "2130706433", "0x7f.1"])
def test_private_places_are_not_asked(place: str, tmp_path: Path) -> None:
    """However a loopback address is written, no request reaches a server there, and the error says
    why."""
    with served({"/": "<img src=a.jpg>"}) as site:
        crawl = Crawl([f"http://{place}:{site.port}/"], tmp_path, quick(allow_private=False))
        fault = r"not on the public internet; if it is yours, add --allow-private|cannot be found"
        with pytest.raises((OptionError, RunError), match=fault):
            list(crawl.run())
        crawl.close()
        assert site.log == []


def run(site: Site, names: Names, folder: Path, *urls: str, **values: object) -> list[str]:
    """Collects by these names; the addresses of the kept pictures."""
    crawl = Crawl(
        urls,
        folder,
        quick(allow_private=False, **values),
        guard=names.guard(),
        connect=names.connect,
        backoff=0.001,
    )
    for _ in crawl.run():
        pass
    crawl.close()
    return [entry.url for entry in read_manifest(folder)]


def test_redirects_to_private_addresses_are_not_followed(tmp_path: Path) -> None:
    """A page or picture that redirects to a private address leads nowhere, while the rest of the
    page is collected; the server that stands there sees no request."""
    with served() as inner, served() as site:
        site.pages.update(
            {
                "/": '<img src="a.jpg"><img src="b.jpg"><img src="c.jpg">',
                "/a.jpg": picture(1),
                "/b.jpg": Reply(status=302, headers={"Location": f"{inner.url}/secret"}),
                "/c.jpg": Reply(status=301, headers={"Location": "http://inside.example/x.jpg"}),
            }
        )
        names = Names({"a.example": [[PUBLIC]], "inside.example": [["192.168.0.5"]]}, site)
        kept = run(site, names, tmp_path, "http://a.example/")
        assert kept == ["http://a.example/a.jpg"]
        assert inner.log == []
        assert {line.host for line in site.log} == {"a.example"}
        assert set(names.connected) == {PUBLIC}


def test_a_name_that_changes_its_mind_gains_nothing(tmp_path: Path) -> None:
    """A name server that answers with a public address first and a private one later (rebinding)
    gets no connection to the private one: the address that was checked is the one connected to, and
    every new connection is checked anew."""
    hang_up = {"Connection": "close"}
    with served() as site:
        site.pages.update(
            {
                "/": Reply(b"<img src=a.jpg><img src=b.jpg>", headers=hang_up),
                "/robots.txt": Reply(b"", headers=hang_up),
                "/a.jpg": picture(1),
                "/b.jpg": picture(2),
            }
        )
        answers = [[PUBLIC], [PUBLIC], ["127.0.0.1"]]
        names = Names({"rebind.example": answers}, site)
        kept = run(site, names, tmp_path, "http://rebind.example/")
        assert kept == []
        # Each connection was looked up once: nothing lies between the check and the connection.
        assert names.asked.count("rebind.example") >= 3
        assert names.connected == [PUBLIC, PUBLIC]
        assert [line.path for line in site.log] == ["/robots.txt", "/"]


@pytest.mark.parametrize(
    "url", ["ftp://a.example/", "file:///etc/passwd", "javascript:1", "http://u:p@a.example/", ""]
)
def test_only_web_addresses_are_taken(url: str, tmp_path: Path) -> None:
    """Anything but http and https, and an address with a password, is refused at once."""
    with pytest.raises(OptionError, match=r"address"):
        Crawl([url], tmp_path)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("HTTP://Example.ORG:80/a/../b?x=1#f", "http://example.org/b?x=1"),
        ("//other.example/ä b", "http://other.example/%C3%A4%20b"),
        ("https://xn--bcher-kva.example:443", "https://xn--bcher-kva.example/"),
        ("http://bücher.example/", "http://xn--bcher-kva.example/"),
        ("http://A.example.:80/x", "http://a.example/x"),
        ("http://bücher。example。/", "http://xn--bcher-kva.example/"),
        ("http://./", None),
        ("http://a..example/x.jpg", None),
        ("http://.example/x.jpg", None),
        (f"http://{'a' * 63}.example/", f"http://{'a' * 63}.example/"),
        (f"http://{'a' * 64}.example/", None),
        (f"http://{'a.' * 130}example/", None),
        ("sub/page?q=ü", "http://base.example/dir/sub/page?q=%C3%BC"),
        ("http://a.example//other.example/x", "http://a.example//other.example/x"),
        ("http://a.example//x//../y", "http://a.example//x/y"),
        ("/a/./b/.", "http://base.example/a/b/"),
        ("/../../b/..", "http://base.example/"),
        ("http://a.example/\ud83d", None),
        ("http://a.example/?\ud83d", None),
        ("data:image/png;base64,AAAA", None),
        ("http://[::1", None),
        ("http://a.example/" + "x" * 3000, None),
    ],
)
def test_addresses_have_one_spelling(url: str, expected: str | None) -> None:
    """Different spellings of an address become one (RFC 3986, section 6), and what is none is
    none."""
    assert normalize(url, "http://base.example/dir/page") == expected


def test_empty_folders_stay() -> None:
    """A path with empty parts is another one than that without, in relative addresses too."""
    assert normalize("c?d", "http://a.example//x//b") == "http://a.example//x//c?d"
    assert normalize("../c", "http://a.example//x//b") == "http://a.example//x/c"
    assert normalize("?d", "http://a.example//b") == "http://a.example//b?d"


def test_sites_and_traps_are_told_apart() -> None:
    """`www.` and the scheme make no other site, a port does; piled-up folders are a trap."""
    assert same_site("http://www.a.example/x", "https://a.example/y")
    assert not same_site("http://a.example/", "http://b.a.example/")
    assert not same_site("http://a.example/", "http://a.example:81/")
    assert is_trap("http://a.example/a/b/a/b/a/b")
    assert not is_trap("http://a.example/2011/11/gallery/11")
