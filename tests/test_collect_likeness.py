"""Near-duplicates: resized, recompressed and cropped ones are found, and no others."""

import io
import itertools
from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import fft

from impasto.collect.likeness import Likeness, likeness, near, same
from impasto.images import glance
from impasto.samples import sample_names, sample_path
from web_site import painted


def seen(image: Image.Image, format: str = "JPEG", **options: int) -> Likeness:
    """What is kept of a picture that comes as a file."""
    stream = io.BytesIO()
    image.save(stream, format, **options)
    look = glance(stream.getvalue(), 256, max_pixels=10**8)
    return likeness(look.small.pixels, look.width / look.height)


def printed_page(seed: int) -> Image.Image:
    """A page of print: the same margins and line spacing for all, other words."""
    random = np.random.default_rng(seed)
    page = Image.new("RGB", (300, 400), (245, 240, 230))
    draw = ImageDraw.Draw(page)
    for y in range(30, 370, 9):
        x = 30
        while x < 270:
            width = int(random.integers(5, 30))
            draw.rectangle((x, y, min(x + width, 270), y + 4), fill=(30, 30, 30))
            x += width + 4
    return page


def sky(seed: int) -> Image.Image:
    """A soft sky: much the same colours for all, other clouds."""
    random = np.random.default_rng(seed)
    clouds = Image.fromarray((random.random((4, 6)) * 255).astype(np.uint8))
    soft = np.asarray(clouds.resize((320, 240), Image.Resampling.BICUBIC)) / 255 * 40
    top, bottom = np.array([90.0, 130, 190]), np.array([190.0, 210, 230])
    down = np.linspace(0, 1, 240)[:, None, None]
    pixels = top * (1 - down) + bottom * down + soft[..., None] + random.random(3) * 20
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def different() -> Iterator[Image.Image]:
    """500 pictures of which no two show the same, many of them alike in layout and colours."""
    count = 0
    for name in sample_names():
        with Image.open(sample_path(name)) as photo:
            image = photo.convert("RGB")
        width, height = image.size
        for row, column in itertools.product(range(3), range(3)):
            box = column * width // 3, row * height // 3
            yield image.crop((*box, box[0] + width // 3, box[1] + height // 3))
            count += 1
    for seed in range(50):
        yield printed_page(seed)
        yield sky(seed)
    for seed in range(400 - count):
        yield Image.fromarray(painted(seed))


def variants(image: Image.Image) -> Iterator[tuple[str, Likeness]]:
    """The same picture resized, recompressed and cropped by 5 % of its width or height."""
    width, height = image.size
    yield "half", seen(image.resize((width // 2, height // 2), Image.Resampling.LANCZOS))
    yield "quality 35", seen(image, quality=35)
    yield "webp", seen(image, "WEBP", quality=50)
    across, down = round(0.05 * width), round(0.05 * height)
    yield "left", seen(image.crop((across, 0, width, height)), quality=85)
    yield "all sides", seen(image.crop((across, down, width - across, height - down)))
    shifted = image.crop((across // 2, down, width, height - down // 3))
    yield "mixed", seen(shifted.resize((width // 2, height // 2)), quality=60)


@pytest.mark.slow
def test_planted_near_duplicates_and_no_others() -> None:
    """Of planted near-duplicates of 42 pictures at least 95 % of each kind are found, and among 500
    different pictures no two are taken for the same."""
    images = list(different())
    assert len(images) == 500
    kept = [seen(image) for image in images]
    hashes = np.stack([like.hashes for like in kept])
    for place, like in enumerate(kept):
        others = [other for other in near(like.hashes, hashes[:place]) if same(like, kept[other])]
        assert others == []
    found: dict[str, list[bool]] = {}
    for place in range(0, 500, 12):
        for kind, like in variants(images[place]):
            hits = [int(o) for o in near(like.hashes, hashes) if same(like, kept[o])]
            found.setdefault(kind, []).append(hits == [place])
    shares = {kind: np.mean(hits) for kind, hits in found.items()}
    assert len(shares) == 6
    assert min(shares.values()) >= 0.95, shares


def test_flat_and_tiny_pictures() -> None:
    """Pictures without detail are compared by colour; two colours, or two shapes, are no match."""

    def plain(color: tuple[int, int, int], width: int = 64) -> Likeness:
        return seen(Image.new("RGB", (width, 64), color), "PNG")

    assert same(plain((90, 120, 200)), plain((90, 120, 200)))
    assert not same(plain((90, 120, 200)), plain((200, 120, 90)))
    assert not same(plain((90, 120, 200)), plain((90, 120, 200), 32))
    assert same(seen(Image.fromarray(painted(1)), "PNG"), seen(Image.fromarray(painted(1))))
    one = likeness(np.zeros((3, 1, 1), np.float32), 1.0)
    assert same(one, one)


def test_the_hash_is_that_of_the_lowest_frequencies() -> None:
    """The hash of a whole picture has the signs, about their median, of the 8 × 8 lowest terms of
    its cosine transform, as SciPy computes it."""
    pixels: NDArray[np.float32] = np.random.default_rng(0).random((3, 64, 64), np.float32)
    like = likeness(pixels, 1.0)
    luma = like.thumbnail.astype(np.float64) @ [0.299, 0.587, 0.114]
    # Two by two pixels under a tent: weights 1, 3, 3, 1.
    tent = np.zeros((32, 64))
    for row, column in itertools.product(range(32), range(-1, 3)):
        if 0 <= 2 * row + column < 64:
            tent[row, 2 * row + column] = (1, 3, 3, 1)[column + 1]
    tent /= tent.sum(axis=1, keepdims=True)
    terms = np.asarray(fft.dctn(tent @ luma @ tent.T, type=2))[:8, :8].ravel()
    # Only the first row and column lack a factor common to the others; it changes no sign, but the
    # terms must be those of the plain sums that the median compares.
    bits = terms > np.median(terms[1:])
    assert int(like.phash, 16) == sum(int(bit) << place for place, bit in enumerate(bits))


def test_near_sorts_by_distance() -> None:
    """The nearest candidates come first, and far ones not at all."""
    likes = [seen(Image.fromarray(painted(seed)), "PNG") for seed in range(6)]
    hashes = np.stack([like.hashes for like in likes])
    assert near(likes[3].hashes, hashes)[0] == 3
    assert len(near(likes[0].hashes, hashes[:0])) == 0
