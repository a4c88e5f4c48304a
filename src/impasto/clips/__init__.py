"""Read and write moving pictures; the only package that touches files of clips.

A clip is a row of frames with exact times, and whatever goes along with them: sound, subtitles,
chapters. Frames come one after the other, upright and with square pixels, so that a clip of any
length takes the memory of a few frames. Containers and codecs are PyAV's (FFmpeg's), animated GIF
and WebP are read by libvips, and frames can lie in a folder as numbered pictures.
"""

from impasto.clips.ahead import read_ahead
from impasto.clips.facts import Facts, Frame, Span
from impasto.clips.folder import FrameFolder
from impasto.clips.pictures import folder_identity
from impasto.clips.reading import Clip, is_self_contained, open_clip
from impasto.clips.targets import CODECS, ENDINGS, Target, target_for
from impasto.clips.writing import check_copied, write_clip

__all__ = [
    "CODECS",
    "ENDINGS",
    "Clip",
    "Facts",
    "Frame",
    "FrameFolder",
    "Span",
    "Target",
    "check_copied",
    "folder_identity",
    "is_self_contained",
    "open_clip",
    "read_ahead",
    "target_for",
    "write_clip",
]
