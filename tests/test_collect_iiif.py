"""IIIF: manifests and collections of both versions, and the largest picture of a service."""

from typing import Any

import pytest

from impasto.collect.iiif import is_iiif, read_iiif, service_picture

HERE = "http://h.example/manifest"
THIRD: dict[str, Any] = {
    "@context": "http://iiif.io/api/presentation/3/context.json",
    "id": HERE,
    "type": "Manifest",
    "label": {"en": ["Mill"], "nl": ["Molen"]},
    "rights": "http://creativecommons.org/licenses/by/4.0/",
    "requiredStatement": {"label": {"en": ["Credit"]}, "value": {"en": ["Museum of Mills"]}},
    "metadata": [{"label": {"en": ["Artist"]}, "value": {"none": ["Mia Noor"]}}],
    "homepage": [{"id": "http://h.example/mill", "type": "Text"}],
    "items": [
        {
            "type": "Canvas",
            "label": {"en": ["front"]},
            "items": [
                {
                    "type": "AnnotationPage",
                    "items": [
                        {
                            "type": "Annotation",
                            "motivation": "painting",
                            "body": {
                                "id": "http://h.example/front.jpg",
                                "type": "Image",
                                "width": 4000,
                                "height": 3000,
                                "service": [{"id": "http://i.example/f", "type": "ImageService3"}],
                            },
                        },
                        {
                            "type": "Annotation",
                            "motivation": "commenting",
                            "body": {"id": "http://x"},
                        },
                    ],
                }
            ],
        }
    ],
}
SECOND: dict[str, Any] = {
    "@context": "http://iiif.io/api/presentation/2/context.json",
    "@id": HERE,
    "@type": "sc:Manifest",
    "label": "Mill",
    "license": "https://creativecommons.org/publicdomain/mark/1.0/",
    "attribution": "Museum of Mills",
    "metadata": [{"label": "Creator", "value": "<b>Mia</b> Noor"}],
    "sequences": [
        {
            "canvases": [
                {
                    "@type": "sc:Canvas",
                    "label": "front",
                    "images": [
                        {
                            "resource": {
                                "@id": "http://h.example/front.jpg",
                                "@type": "dctypes:Image",
                                "service": {
                                    "@context": "http://iiif.io/api/image/2/context.json",
                                    "@id": "http://i.example/f",
                                    "profile": "http://iiif.io/api/image/2/level2.json",
                                },
                            }
                        }
                    ],
                }
            ]
        }
    ],
}


@pytest.mark.parametrize(
    ("manifest", "size", "license"), [(THIRD, "max", "by"), (SECOND, "full", "pd")]
)
def test_manifests(manifest: dict[str, Any], size: str, license: str) -> None:
    """A manifest of either version gives each canvas's picture from its service, the plain file as
    second choice, with title, author, licence and the line that is required."""
    assert is_iiif(manifest)
    (one,) = read_iiif(manifest, HERE, max_pixels=10**8).pictures
    assert one.urls == (
        f"http://i.example/f/full/{size}/0/default.jpg",
        "http://h.example/front.jpg",
    )
    credit = one.credit
    assert (credit.title, credit.author) == ("Mill", "Mia Noor")
    assert (credit.license, credit.attribution) == (license, "Museum of Mills")
    assert one.page == ("http://h.example/mill" if manifest is THIRD else "")


@pytest.mark.parametrize(
    ("info", "expected"),
    [
        ({"type": "ImageService3", "width": 9000, "height": 6000}, "max/0/default"),
        (
            {"@context": "http://iiif.io/api/image/3/context.json", "width": 9000, "height": 6000},
            "max/0/default",
        ),
        (
            {"type": "ImageService3", "width": 20000, "height": 10000},
            "14142,/0/default",
        ),
        (
            {
                "type": "ImageService3",
                "width": 20000,
                "height": 10000,
                "sizes": [{"width": 14000, "height": 7000}, {"width": 20000, "height": 10000}],
            },
            "14000,7000/0/default",
        ),
        (
            {"type": "ImageService3", "width": 9000, "height": 6000, "maxWidth": 3000},
            "max/0/default",
        ),
        (
            {
                "@context": "http://iiif.io/api/image/2/context.json",
                "width": 9000,
                "height": 6000,
                "profile": ["http://iiif.io/api/image/2/level2.json", {"maxWidth": 3000}],
            },
            "3000,/0/default",
        ),
        (
            {
                "@context": "http://library.stanford.edu/iiif/image-api/1.1/context.json",
                "width": 900,
                "height": 600,
            },
            "full/0/native",
        ),
    ],
)
def test_the_largest_picture_of_a_service(info: dict[str, Any], expected: str) -> None:
    """The largest size that the service gives, and that may be decoded, is asked for, in the words
    of the service's version; 20000 × 10000 px shrunk to 100 megapixels are 14142 px wide."""
    found = service_picture({"id": "http://i.example/f", **info}, HERE, 10**8)
    assert found == f"http://i.example/f/full/{expected}.jpg"


def test_collections_and_odd_documents() -> None:
    """A collection leads to its manifests, wherever they are; nothing else breaks the reader."""
    value = {
        "@context": "http://iiif.io/api/presentation/3/context.json",
        "type": "Collection",
        "items": [{"id": "http://o.example/m1", "type": "Manifest"}, "odd", {"id": 3}],
    }
    links = read_iiif(value, HERE, max_pixels=10**8).links
    assert links[0].url == "http://o.example/m1"
    assert links[0].notes["anywhere"]
    assert not is_iiif({"a": 1})
    assert not is_iiif([1])
    odd: dict[str, Any] = {"@type": "sc:Manifest", "sequences": [3, {"canvases": "x"}], "items": {}}
    assert read_iiif(odd, HERE, max_pixels=1).pictures == ()
    assert read_iiif({"@context": "iiif.io"}, HERE, max_pixels=1).fault
