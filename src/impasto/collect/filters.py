"""Which pictures are wanted: by what is said of them before, and what they are after, fetching."""

from __future__ import annotations

import re
import unicodedata

import numpy as np
from numpy.typing import NDArray

from impasto.collect.found import Candidate
from impasto.collect.options import CollectOptions
from impasto.collect.pages import describe
from impasto.images import Glance

# Marks (accents, vowel signs) are no letters for Python, yet belong to the word before them.
_WORD = re.compile(
    r"(?:[^\W\d_][\u0300-\u036f\u0591-\u05c7\u064b-\u065f\u0900-\u0d7f\u200c\u200d]*)+|\d+"
)
# Kana, Chinese characters, Thai, Lao, Myanmar and Khmer.
_UNSPACED = re.compile(
    r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\U00020000-\U0003ffff]"
)


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
    said = describe(candidate)
    if options.words and not any(_has_word(said, word) for word in options.words):
        return "none of the words"
    if any(_has_word(said, word) for word in options.without_words):
        return "an unwanted word"
    license = candidate.credit.license
    # One of which nothing is said may say it itself, in its own metadata.
    if options.license and license and license not in options.license:
        return "another licence"
    return ""


def _has_word(text: str, word: str) -> bool:
    """Whether a text has a word, or several in a row, and not only as a part of longer ones.

    Words are runs of letters with their accents, or of digits, of any script; what is between them
    does not count, so that `oak tree` is found in `oak-tree_1.jpg`. Scripts that put nothing
    between words, such as Chinese, have no boundaries to go by: there a part is enough.
    """
    sought, words = _words(word), _words(text)
    if not sought or _UNSPACED.search(word):
        return _folded(word) in _folded(text)
    return any(words[i : i + len(sought)] == sought for i in range(len(words) - len(sought) + 1))


def _words(text: str) -> list[str]:
    return _WORD.findall(_folded(text))


def _folded(text: str) -> str:
    """The same form for what is the same to a reader: case, and composed or separate accents."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())


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
