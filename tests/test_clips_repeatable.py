"""The same frames come out as the same film, whatever lies about in memory."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("av")

from moving import drifting, make_clip

WRITE = """
import itertools, sys
from pathlib import Path
from impasto.clips import open_clip, target_for, write_clip

source, path, codec, count = sys.argv[1:]
clip = open_clip(source)
frames = itertools.islice(clip.frames(), int(count))
write_clip(Path(path), frames, clip, target_for(Path(path), clip.facts, codec or None))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc alone fills memory on request")
@pytest.mark.parametrize(
    ("name", "codec", "count"),
    [
        ("a.mp4", "h264", 9),
        ("a.mkv", "h264", 3),
        ("a.mp4", "h265", 1),
        ("a.mp4", "h265", 2),
        ("a.mp4", "h265", 9),
        ("a.mkv", "av1", 9),
        ("a.webm", "vp9", 3),
        ("a.gif", "", 3),
        ("a.webp", "", 3),
    ],
)
def test_memory_does_not_show(name: str, codec: str, count: int, tmp_path: Path) -> None:
    """Neither encoders nor containers let chance, or memory that nobody has written, decide on the
    film: on its frames or, of clips of a frame or two, on their times."""
    source = make_clip(tmp_path / "a.mp4", [drifting(i, 480, 270) for i in range(9)])
    films = set()
    for filled in "0", "1", "85", "170":
        path = tmp_path / f"{filled}-{name}"
        words = [sys.executable, "-c", WRITE, str(source), str(path), codec, str(count)]
        subprocess.run(words, check=True, env={**os.environ, "MALLOC_PERTURB_": filled})
        films.add(path.read_bytes())
    assert len(films) == 1
