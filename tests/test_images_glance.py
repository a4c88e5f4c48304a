"""A look at a picture file: its kind, its upright size, a small version, what it says of itself."""

import io

import numpy as np
import pytest
from PIL import Image

from impasto.errors import ImageError
from impasto.images import glance, is_picture, read_image
from odd_images import lossy_jpegs, odd_jpegs
from web_site import encoded, painted


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "GIF"])
def test_a_small_version_is_that_of_pillow(format: str) -> None:
    """Format, size and the small version agree with what Pillow makes of the file by areas."""
    data = encoded(painted(1, 640, 480), format)
    look = glance(data, 64, max_pixels=10**6)
    assert (look.format, look.width, look.height) == (format.lower(), 640, 480)
    with Image.open(io.BytesIO(data)) as image:
        wanted = np.asarray(image.convert("RGB").resize((64, 48), Image.Resampling.BOX)) / 255
    assert look.small.pixels.shape == (3, 48, 64)
    difference = np.abs(np.moveaxis(look.small.pixels, 0, 2) - wanted)
    assert np.sqrt(np.square(difference).mean()) < 0.03
    assert is_picture(data)


def test_orientation_and_texts() -> None:
    """A turned picture is measured and shown upright, and EXIF's texts are read as they are."""
    exif = Image.Exif()
    exif[0x0112], exif[0x013B], exif[0x8298] = 6, "Ann (Bee)", "(c) Cy, CC BY 4.0"
    stream = io.BytesIO()
    Image.fromarray(painted(2, 300, 100)).save(stream, "JPEG", exif=exif)
    look = glance(stream.getvalue(), 150, max_pixels=10**6)
    assert (look.width, look.height) == (100, 300)
    assert look.small.pixels.shape == (3, 150, 50)
    assert look.texts == {"artist": "Ann (Bee)", "copyright": "(c) Cy, CC BY 4.0"}
    assert read_image(stream.getvalue()).pixels.shape == (3, 300, 100)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (encoded(painted(3), "JPEG")[:4000], "damaged"),
        (encoded(painted(3), "PNG")[:4000], "damaged"),
        (b"", "empty"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b"<html>", "web page"),
        (encoded(painted(3, 400, 300), "PNG"), "more than the limit"),
    ],
)
def test_what_is_no_sound_picture_is_refused(data: bytes, words: str) -> None:
    """Damaged files, other files, and pictures with too many pixels are refused in words."""
    with pytest.raises(ImageError, match=words):
        glance(data, 64, max_pixels=100_000)
    assert is_picture(data) == data.startswith((b"\xff\xd8", b"\x89PNG"))


def test_thin_pictures_keep_a_pixel() -> None:
    """A very long picture is shrunk to one pixel's height, not to none."""
    look = glance(encoded(painted(4, 3000, 12), "PNG"), 64, max_pixels=10**6)
    assert look.small.pixels.shape == (3, 1, 64)


@pytest.mark.parametrize("kind", odd_jpegs())
def test_odd_jpegs_are_pictures(kind: str) -> None:
    """What a decoder only finds odd is shown as Pillow shows it."""
    data = odd_jpegs()[kind]
    look = glance(data, 320, max_pixels=10**6)
    with Image.open(io.BytesIO(data)) as image:
        wanted = np.asarray(image.convert("RGB")) / 255
    assert np.abs(np.moveaxis(look.small.pixels, 0, 2) - wanted).max() < 0.02


@pytest.mark.parametrize("kind", lossy_jpegs())
def test_jpegs_that_lost_contents_are_refused(kind: str) -> None:
    """A JPEG that decodes with a warning of lost contents is damaged."""
    with pytest.raises(ImageError, match="damaged"):
        glance(lossy_jpegs()[kind], 64, max_pixels=10**6)
