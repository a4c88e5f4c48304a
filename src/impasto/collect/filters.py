"""Which pictures are wanted: by what is said of them before, and what they are after, fetching."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from impasto.collect.found import Candidate
from impasto.collect.options import CollectOptions
from impasto.collect.pages import describe
from impasto.images import Glance


def colorfulness(pixels: NDArray[np.float32]) -> float:
    """How colourful a picture looks: 0 grey, 15 slightly, 33 moderately, 59 highly, 109 extremely.

    D. Hasler and S. Süsstrunk, "Measuring colourfulness in natural images", Proc. SPIE 5007, 2003,
    section 7 (the measure M^(3)).

    Args:
        pixels: `(3, H, W)`, sRGB in [0, 1].
    """
    red, green, blue = pixels.astype(np.float64) * 255
    across, along = red - green, 0.5 * (red + green) - blue
    spread = np.hypot(across.std(), along.std())
    return float(spread + 0.3 * np.hypot(across.mean(), along.mean()))


def refuse_unseen(candidate: Candidate, options: CollectOptions) -> str:
    """Why a picture is not even fetched; empty where it is."""
    words = describe(candidate)
    if options.words and not any(word in words for word in options.words):
        return "none of the words"
    if any(word in words for word in options.without_words):
        return "an unwanted word"
    license = candidate.credit.license
    # One of which nothing is said may say it itself, in its own metadata.
    if options.license and license and license not in options.license:
        return "another licence"
    return ""


def refuse_seen(glance: Glance, license: str, options: CollectOptions) -> str:
    """Why a picture that has been fetched is not kept; empty where it is."""
    short, long = sorted((glance.width, glance.height))
    aspect = glance.width / glance.height
    if options.license and license not in options.license:
        return "no licence stated" if not license else "another licence"
    if options.formats and glance.format not in options.formats:
        return "another format"
    if short < options.min_size:
        return "too small"
    if options.max_size is not None and long > options.max_size:
        return "too large"
    if options.min_aspect is not None and aspect < options.min_aspect:
        return "too narrow"
    if options.max_aspect is not None and aspect > options.max_aspect:
        return "too wide"
    if options.min_colorfulness or options.max_colorfulness is not None:
        value = colorfulness(glance.small.pixels)
        if value < options.min_colorfulness:
            return "too grey"
        if options.max_colorfulness is not None and value > options.max_colorfulness:
            return "too colourful"
    return ""
