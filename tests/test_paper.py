"""Paper sizes and prints against the standards' figures."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from impasto.paper import parse_paper, print_size


@pytest.mark.parametrize(
    ("text", "dpi", "expected"),
    [
        ("a3", 300, (3508, 4961)),
        ("A4", 300, (2480, 3508)),
        (" a2 ", 300, (4961, 7016)),
        ("letter", 300, (2550, 3300)),
        ("300x200mm", 254, (2000, 3000)),
        ("20 x 30.5 cm", 25.4, (200, 305)),
        ("12x8in", 100, (800, 1200)),
    ],
)
def test_sheets_in_pixels(text: str, dpi: float, expected: tuple[int, int]) -> None:
    """Named sheets have the pixels that print shops ask for; sizes are taken in any order."""
    assert parse_paper(text).pixels(dpi) == expected


@pytest.mark.parametrize("number", range(1, 7))
def test_a_sizes_are_halves(number: int) -> None:
    """Each A sheet is half the one before, to the millimetre (ISO 216)."""
    larger, smaller = parse_paper(f"a{number - 1}"), parse_paper(f"a{number}")
    assert smaller.long == larger.short
    assert smaller.short == larger.long // 2


@pytest.mark.parametrize("text", ["a7", "", "300x200", "x", "1e9x1mm", "4x300mm", "0x0in", "30x"])
def test_other_words_are_no_paper(text: str) -> None:
    """What is no sheet is refused."""
    with pytest.raises(ValueError, match=r"paper size|sheet"):
        parse_paper(text)


@given(
    width=st.integers(1, 20_000),
    height=st.integers(1, 20_000),
    dpi=st.floats(10, 600),
    name=st.sampled_from(["a3", "letter", "300x100mm"]),
)
def test_prints_fit_or_fill_the_sheet(width: int, height: int, dpi: float, name: str) -> None:
    """Inside, the whole picture touches two edges in its own shape; filling, the print is the sheet
    and what is cut is cut on both sides alike; the sheet is turned the picture's way."""
    paper = parse_paper(name)
    short, long = paper.pixels(dpi)
    sheet = (long, short) if width >= height else (short, long)
    across, down, shown = print_size(paper, dpi, width, height, fill=False)
    assert shown == (0, 0, width, height)
    assert across <= sheet[0]
    assert down <= sheet[1]
    assert across == sheet[0] or down == sheet[1]
    exact = min(sheet[0] / width, sheet[1] / height)
    assert math.isclose(across, width * exact, abs_tol=1)
    assert math.isclose(down, height * exact, abs_tol=1)
    across, down, (left, top, right, bottom) = print_size(paper, dpi, width, height, fill=True)
    assert (across, down) == sheet
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height
    assert (left, right) == (0, width) or (top, bottom) == (0, height)
    assert abs(left - (width - right)) <= 1
    assert abs(top - (height - bottom)) <= 1
