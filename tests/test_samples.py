from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from impasto import samples
from impasto.errors import OptionError

FOLDER = Path(samples.__file__).parent


def test_demo_photo_is_a_sample():
    """The demo photo is one of the photos that the package carries."""
    assert samples.DEMO_PHOTO in samples.sample_names()


@pytest.mark.parametrize("name", samples.sample_names())
def test_samples_are_usable_photos(name: str):
    """Every sample is a colour JPEG that any decoder reads, small enough to ship, with contrast."""
    path = samples.sample_path(name)
    assert path.stat().st_size <= 200_000
    with Image.open(path) as picture:
        assert picture.format == "JPEG"
        assert picture.mode == "RGB"
        assert 400 <= max(picture.size) <= 768
        assert not picture.getexif()
        pixels = np.asarray(picture)
    assert pixels.std() > 30


@pytest.mark.parametrize("name", samples.sample_names())
def test_samples_name_their_source(name: str):
    """Every sample has its terms in one line of code and a row in SOURCES.md."""
    line = samples.describe_sample(name)
    assert "\n" not in line
    assert "CC0" in line or "public domain" in line
    rows = (FOLDER / "SOURCES.md").read_text(encoding="utf-8").splitlines()
    row = next(row for row in rows if row.startswith(f"| `{name}.jpg`"))
    assert "CC0" in row or "public domain" in row


def test_every_shipped_photo_is_listed():
    """No photo lies in the package without a name, and so without a source."""
    assert sorted(path.stem for path in FOLDER.glob("*.jpg")) == samples.sample_names()


@pytest.mark.parametrize("name", ["dog", "", "../cat", "CAT"])
def test_unknown_name_lists_the_choices(name: str):
    """An unknown name is refused in one line that gives the names that exist."""
    with pytest.raises(OptionError, match="astronaut, cat, coffee, rocket") as caught:
        samples.sample_path(name)
    assert "\n" not in str(caught.value)
