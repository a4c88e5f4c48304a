"""Colours through their ICC profile to sRGB."""

import contextlib
import functools
from typing import Any

import numpy as np
import pyvips

from impasto.color import linear_to_srgb
from impasto.images.vips import blob, set_blob, vips_from_array


def to_linear_srgb(image: pyvips.Image, colors: int, full_scale: float) -> pyvips.Image | None:
    """The colours of `image` as linear sRGB floats through their profile; None if sRGB already."""
    profile = blob(image, "icc-profile-data")
    foreign = profile is not None and (colors == 4 or not _is_srgb(profile, colors))
    if not foreign and colors != 4:
        return None
    color = image.extract_band(0, n=colors)
    if full_scale not in (255, 65535):
        device = {1: "grey16", 3: "rgb16", 4: "cmyk"}[colors]
        color = (color * (65535 / full_scale)).rint().cast("ushort").copy(interpretation=device)
    if foreign:
        # A damaged profile, or one for other channels, says nothing about these colours.
        with contextlib.suppress(pyvips.Error):
            return _through_profile(color, embedded=True)
    return _through_profile(color, input_profile="cmyk") if colors == 4 else None


@functools.lru_cache(maxsize=16)
def _is_srgb(profile: bytes, colors: int) -> bool:
    """Whether a profile moves no colour by a whole 8-bit step, so that its pixels can stay exact.

    Most pictures carry one of the many profiles of sRGB itself.
    """
    if profile == srgb_profile():
        return True
    levels = np.arange(0, 256, 15, dtype=np.uint8)
    axes = np.meshgrid(*[levels] * colors, indexing="ij")
    probe = np.stack(axes, axis=-1).reshape(1, -1, colors)
    image = vips_from_array(probe)
    set_blob(image, "icc-profile-data", profile)
    try:
        linear = _through_profile(image, embedded=True).numpy()
    except pyvips.Error:
        return False
    return bool(np.abs(linear_to_srgb(linear) * 255 - probe).max() < 1)


def _through_profile(color: pyvips.Image, **profile: Any) -> pyvips.Image:
    # By way of XYZ, which libvips computes in floats: its Lab and its direct 16-bit transform go
    # through coarse tables that are off by up to 9 of 255 in dark tones.
    xyz = color.icc_import(pcs="xyz", intent="relative", black_point_compensation=True, **profile)
    return xyz.colourspace("scrgb").copy_memory()


@functools.cache
def srgb_profile() -> bytes:
    """The sRGB ICC profile that libvips brings."""
    return bytes(pyvips.Operation.call("profile_load", "srgb"))
