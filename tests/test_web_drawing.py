"""Built-in styles that the studio keeps are those that runs draw."""

from pathlib import Path

import numpy as np
import pytest

from impasto.sources import read_source
from impasto.web import drawing
from impasto.web.storage import Storage


def test_drawn_once_to_the_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is kept is what a run would draw, and is not drawn again; a damaged one is."""
    storage = Storage(tmp_path)
    expected = read_source("style:pointillism", 10**9).pixels
    first = drawing.drawn(storage, "pointillism")
    assert np.array_equal(first.bitmap.pixels, expected)
    assert first.record == {"path": "style:pointillism", "sha256": ""}
    (kept,) = (tmp_path / "drawn").iterdir()
    with monkeypatch.context() as patch:
        patch.setattr(drawing, "draw_style", None)
        assert np.array_equal(drawing.drawn(storage, "pointillism").bitmap.pixels, expected)
    kept.write_bytes(kept.read_bytes()[:1000])
    assert np.array_equal(drawing.drawn(storage, "pointillism").bitmap.pixels, expected)
    with pytest.raises(ValueError, match="no drawing"):
        storage.drawn("../x")
