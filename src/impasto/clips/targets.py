"""What a clip becomes: container, codec and pixel format."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import av
from av.codec import Codec
from av.video.format import VideoFormat

from impasto.clips.facts import Facts
from impasto.clips.pixels import is_grey, is_rgb
from impasto.errors import OptionError, one_line

CODECS = {
    "h264": "libx264",
    "h265": "libx265",
    "vp9": "libvpx-vp9",
    "av1": "libsvtav1",
    "ffv1": "ffv1",
    "prores": "prores_ks",
    "mpeg4": "mpeg4",
}
"""Codecs to choose from, with FFmpeg's names of their encoders."""

_FORMATS = {
    ".mp4": "mp4",
    ".m4v": "mp4",
    ".mov": "mov",
    ".mkv": "matroska",
    ".webm": "webm",
    ".gif": "gif",
    ".webp": "webp",
}
ENDINGS = tuple(_FORMATS)
"""Extensions of clips that can be written."""

_FIRST = {"webm": "libvpx-vp9", "gif": "gif", "webp": "libwebp"}
_REFUSED = {"mov": {"vp9", "av1"}}
"""Codecs that FFmpeg names among a container's and then does not write."""

_OPAQUE = ("libx265",)
"""Encoders that name formats with transparency and then do not take them."""

_BESIDE = ("webm", "matroska")
"""Containers that hold the transparency of VP9, which lies beside its packets."""

_CRF = {"libx264": 18, "libx265": 20, "libvpx-vp9": 24, "libsvtav1": 24}
_EIGHTHS = {"libvpx-vp9": 63, "libsvtav1": 63}


@dataclass(frozen=True)
class Target:
    """How a clip is written.

    Attributes:
        format: FFmpeg's name of the container; `""` for numbered PNGs in a folder.
        encoder: FFmpeg's name of the encoder.
        pixel_format: FFmpeg's name.
        crf: its constant quality, less is better; `None` where the encoder has none.
        even: sides have to be even.
        silent: nothing but frames goes in.
    """

    format: str
    encoder: str = ""
    pixel_format: str = "rgb24"
    crf: int | None = None
    even: bool = False
    silent: bool = True


def target_for(
    path: Path,
    facts: Facts,
    codec: str | None = None,
    crf: int | None = None,
) -> Target:
    """Chooses container, codec and pixel format, and refuses what does not go together.

    Args:
        path: to write; one without an extension is a folder of PNGs.
        facts: of the clip that it is made from.
        codec: one of `CODECS`; `None`: what suits the container.
        crf: constant quality; `None`: a good one.

    Raises:
        OptionError: they cannot be combined.
    """
    name, ending = one_line(str(path)), path.suffix.lower()
    if path.name.lower() in _FORMATS:
        raise OptionError(
            f"{name}: has no name before its ending; give one, such as clip{path.name}"
        )
    if not ending:
        if codec is not None or crf is not None:
            what = "--codec" if codec is not None else "--crf"
            raise OptionError(f"{what}: acts only on clips; name one, such as {name}.mp4")
        return Target("")
    if ending not in _FORMATS:
        known = ", ".join(_FORMATS)
        raise OptionError(
            f"{name}: {ending} clips cannot be written; use one of {known}, or a name without "
            "extension for a folder of PNGs"
        )
    form = _FORMATS[ending]
    encoder = CODECS[codec] if codec is not None else _FIRST.get(form, "libx264")
    if codec is None and encoder == "libvpx-vp9" and facts.bits > 8 and not facts.alpha:
        encoder = "libsvtav1"  # VP9 is written with 8 bits only, but AV1 without transparency
    silent = form in ("gif", "webp")
    with av.open(io.BytesIO(), "w", format=form) as container:
        held = {*container.supported_codecs} - _REFUSED.get(form, set())
    if codec is not None and (Codec(encoder, "w").canonical_name not in held or silent):
        raise OptionError(f"--codec {codec}: {ending} cannot hold it; use .mkv, or another codec")
    if crf is not None:
        most = _EIGHTHS.get(encoder, 51)
        if encoder not in _CRF:
            raise OptionError(f"--crf: {codec or ending} has no such setting; leave it out")
        if not 0 <= crf <= most:
            raise OptionError(f"--crf {crf}: must lie in 0 to {most}")
    pixel_format = _pixel_format(encoder, facts, form)
    form_of = VideoFormat(pixel_format, 2, 2)
    chroma = [form_of.chroma_width(2), form_of.chroma_height(2)]
    even = not form_of.is_rgb and min(chroma) < 2
    crf = crf if crf is not None else _CRF.get(encoder)
    return Target(form, encoder, pixel_format, crf, even, silent)


def _pixel_format(encoder: str, facts: Facts, container: str) -> str:
    """Of what an encoder takes, what is nearest to the clip's own: with its depth, alpha and
    fineness of colour. Grey clips get colours, RGB stays RGB where nothing is to be lost."""
    if encoder == "gif":
        return "rgba" if facts.alpha else "rgb24"
    if encoder == "libwebp":
        return "bgra"
    known: Sequence[VideoFormat] = Codec(encoder, "w").video_formats or []
    names = [form.name for form in known]
    if encoder in _OPAQUE or (encoder == "libvpx-vp9" and container not in _BESIDE):
        names = [name for name in names if not name.startswith("yuva")]
    own = facts.pixel_format.replace("yuvj", "yuv")
    if own in names and not is_grey(own):
        return own
    fine = next((f for f in ("444", "422") if f in own and not facts.alpha), "420")
    depths = [f"{facts.bits}le", "10le", "12le", ""] if facts.bits > 8 else [""]
    wanted = [f"yuv{fine}p{depth}" for depth in depths] + ["yuv420p"]
    if facts.alpha:
        clear = [f"yuva{f}p{depth}" for depth in depths for f in (fine, "444")]
        wanted = [*clear, "yuva444p10le", *wanted]
    if is_rgb(own) and encoder == "ffv1":
        bits = f"{facts.bits}le" if facts.bits > 8 else ""
        plain = ["bgr0"] if facts.bits <= 8 else [f"gbrp{bits}", "gbrp16le"]
        holed = ["bgra"] if facts.bits <= 8 else [f"gbrap{bits}", "gbrap16le"]
        wanted = [*(holed if facts.alpha else plain), *wanted]
    return next((name for name in wanted if name in names), names[0] if names else "yuv420p")
