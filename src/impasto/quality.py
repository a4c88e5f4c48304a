"""Measures that judge results by numbers beside the eye.

What a run minimises says little about its picture: another loss or other layers can reach a small
number in a worse way. So style and content are measured here at layers that no run was fitted to,
and colour, edges, noise and borders without any network.

Sources:
    Gram matrices and feature distances: L. Gatys, A. Ecker, M. Bethge, "Image Style Transfer Using
    Convolutional Neural Networks", CVPR 2016.
    Distances between Gaussians: D. Dowson, B. Landau, "The Fréchet distance between multivariate
    normal distributions", J. Multivariate Analysis, 1982.
    Self-similarity: N. Kolkin, J. Salavon, G. Shakhnarovich, "Style Transfer by Relaxed Optimal
    Transport and Self-Similarity", CVPR 2019, section 2.2.
    Directions of edges at twice their angle: G. Granlund, "In search of a general picture
    processing operator", Computer Graphics and Image Processing, 1978.
    Noise: D. Donoho, I. Johnstone, "Ideal spatial adaptation by wavelet shrinkage", Biometrika,
    1994.
"""

from __future__ import annotations

import contextlib
import math
import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from impasto.color import ColorStatistics, color_statistics, mix_statistics, srgb_to_oklab
from impasto.devices import pick_device
from impasto.errors import ImageError, InputError, OptionError, RunError, is_out_of_memory, one_line
from impasto.features import Features, canonical_layer
from impasto.images import DEFAULT_MAX_PIXELS, Bitmap, ImageSource, fit_within, resize_image
from impasto.inputs import check_side
from impasto.losses import wasserstein2_loss
from impasto.moments import Moments
from impasto.options import parse_layers, parse_scales
from impasto.sources import describe_source, is_built_in, read_source
from impasto.targets import Painting, Region, make_targets
from impasto.weights import CONVOLUTIONS_PER_BLOCK

STYLE_LAYERS = "relu1_2,relu2_2,relu3_2,relu4_3,relu5_2"
"""Where style is measured: a layer of each block that no preset fits style at."""

CONTENT_LAYERS = "relu3_3,relu4_3"
"""Where content is measured: both sides of relu4_2, which runs are fitted at."""

MEASURED_SIDE = 512
"""Longest side at which pictures are compared where none is given, px."""

TILE_PIXELS = 1 << 20
"""Largest tile that goes through the network at once, in pixels, halo included."""

GRID = 32
"""Most rows and columns of positions whose similarities are compared."""

BANDS = (2, 4, 8, 16)
"""Widths of the bands along the border that are compared, px."""

QUANTISATION = 1 / (255 * math.sqrt(12))
"""Standard deviation of the rounding to 8 bits, sRGB units."""

LEAST_STEP = 1e-3
"""Least typical step between neighbouring bands, OKLab units: a twentieth of what an eye sees."""

_OPPONENTS = np.array([[1, 1, 1], [1, 0, -1], [1, -2, 1]]) / np.sqrt([[3], [2], [6]])


# --- distances in feature space ------------------------------------------------------------------


def gram_distance(one: Moments, other: Moments) -> float:
    """`‖G − A‖ / √(‖G‖² + ‖A‖²)`, norms of Frobenius, of two Gram matrices per position.

    Returns:
        0 (the same) to 1 (no pair of channels is active in both): features after a ReLU are not
        negative, so neither is the product of their Gram matrices. NaN where both are 0.
    """
    ours, theirs = one.exact().gram, other.exact().gram
    scale = ours.square().sum() + theirs.square().sum()
    return float(((ours - theirs).square().sum() / scale).sqrt())


def gaussian_distance(one: Moments, other: Moments) -> float:
    """`W₂ / √(tr G + tr A)`: the 2-Wasserstein distance between the Gaussians of two moments.

    `W₂² = |μ − μ′|² + tr(Σ + Σ′ − 2 (Σ′^½ Σ Σ′^½)^½)`; `tr G = |μ|² + tr Σ`.

    Returns:
        0 (the same; about 1e-4 with rounding) to 1, because means of features are not negative.
        NaN where both Gram matrices are 0.
    """
    ours, theirs = one.exact(), other.exact()
    squared = wasserstein2_loss(theirs)(ours) * theirs.first.shape[0]
    scale = ours.gram.trace() + theirs.gram.trace()
    return float((squared.clamp_min(0) / scale).sqrt())


STYLE_DISTANCES = {"gram": gram_distance, "wasserstein2": gaussian_distance}
"""What compares the statistics of two pictures at a layer."""


def feature_distance(features: Tensor, target: Tensor) -> float:
    """`‖F − P‖ / √(‖F‖² + ‖P‖²)` between two feature maps of the same shape `(1, C, h, w)`.

    Gatys et al. 2016, eq. 1, made independent of the layer's scale.

    Returns:
        0 (the same) to 1; NaN where both are 0.
    """
    ours, theirs = (one.to("cpu", torch.float64) for one in (features, target))
    scale = ours.square().sum() + theirs.square().sum()
    return float(((ours - theirs).square().sum() / scale).sqrt())


def structure_distance(features: Tensor, target: Tensor) -> float:
    """How differently a picture resembles itself from place to place.

    `½ mean_j Σ_i |D_ij / Σ_i D_ij − D′_ij / Σ_i D′_ij|`, with `D_ij = 1 − cos(f_i, f_j)` between
    the features at two positions: half of the content loss of Kolkin et al. 2019, eq. 7, there
    without the mean. Colours and strokes may change as long as what was alike stays alike.

    Args:
        features: `(1, C, h, w)`; from more than `GRID` rows or columns, that many are taken at
            equal distances.
        target: likewise, of the same shape.

    Returns:
        0 (the same) to 1; NaN where all positions of a picture are alike.
    """
    ours, theirs = _dissimilarity(features), _dissimilarity(target)
    return float((ours - theirs).abs().sum(0).mean() / 2)


def _dissimilarity(features: Tensor) -> Tensor:
    rows, columns = (
        torch.linspace(0, side - 1, min(side, GRID)).round().long() for side in features.shape[-2:]
    )
    taken = features[0].to("cpu", torch.float64)[:, rows][..., columns]
    unit = F.normalize(taken.flatten(1), dim=0)
    # Rounding leaves a position a little unlike itself.
    apart = (1 - unit.T @ unit).clamp_min(0).fill_diagonal_(0)
    return apart / apart.sum(0)


# --- distances between colours -------------------------------------------------------------------


def color_distance(one: ColorStatistics, other: ColorStatistics) -> float:
    """The 2-Wasserstein distance between two Gaussians of colours, in their own units.

    `W₂² = |μ − μ′|² + tr(Σ + Σ′ − 2 (Σ′^½ Σ Σ′^½)^½)` (Dowson & Landau 1982): the least root mean
    square by which colours must move to turn one palette into the other. Between OKLab statistics
    0.02 is just visible in flat areas, and black and white are 1 apart.
    """
    values, vectors = np.linalg.eigh(other.covariance)
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    shared = np.linalg.eigvalsh(root @ one.covariance @ root).clip(0)
    squared = np.square(one.mean - other.mean).sum()
    squared += np.trace(one.covariance) + np.trace(other.covariance) - 2 * np.sqrt(shared).sum()
    return math.sqrt(max(0.0, float(squared)))


def chroma_distance(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """The mean distance in OKLab's a and b between two pictures, place by place.

    Args:
        one: OKLab `(3, H, W)`, or `(3, N)` for a list of colours.
        other: likewise, of the same shape.

    Returns:
        0 or more; about 0.3 lies between two strong opposite colours.
    """
    apart = one[1:].astype(np.float64) - other[1:]
    return float(np.sqrt(np.square(apart).sum(axis=0)).mean())


# --- edges, noise, borders -----------------------------------------------------------------------


def edge_fidelity(picture: NDArray[np.float32], photo: NDArray[np.float32]) -> float:
    """Whether edges lie where the photo has them, in the same direction and relative strength.

    `Σ |g||h| cos 2(α − β) / √(Σ |g|² Σ |h|²)` over all places, with the gradients' lengths |g|, |h|
    and angles α, β: the correlation of edges written with twice their angle (Granlund 1978), so
    that an edge from dark to light equals one from light to dark. Gradients are those of a
    Gaussian of a 256th of the long side, at least 1 px: the finest edges that a preview shows.

    Args:
        picture: lightness `(H, W)`.
        photo: lightness of the same shape.

    Returns:
        −1 (every edge crosses the photo's) to 1 (the photo's edges and no others); 0 for unrelated
        pictures. NaN where one has no edges.
    """
    sigma = max(1.0, max(photo.shape) / 256)
    ours, theirs = _edges(picture, sigma), _edges(photo, sigma)
    scale = math.sqrt(float((np.abs(ours) ** 2).sum() * (np.abs(theirs) ** 2).sum()))
    if scale == 0:
        return math.nan
    return float((ours * theirs.conj()).real.sum()) / scale


def _edges(lightness: NDArray[np.float32], sigma: float) -> NDArray[np.complex128]:
    """Gradients as complex numbers of their length and twice their angle."""
    reach = round(4 * sigma)
    x = np.arange(-reach, reach + 1)
    bell = np.exp(-(x**2) / (2 * sigma**2))
    bell /= bell.sum()
    slope = x / sigma**2 * bell
    padded = np.pad(lightness.astype(np.float64), reach, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view
    across = windows(windows(padded, x.size, axis=1) @ slope, x.size, axis=0) @ bell
    down = windows(windows(padded, x.size, axis=1) @ bell, x.size, axis=0) @ slope
    gradient = across + 1j * down
    # Flat places hold nothing but rounding, which has directions too.
    length = np.abs(gradient)
    return np.divide(gradient**2, length, out=np.zeros_like(gradient), where=length > 1e-6)


def noise_deviation(pixels: NDArray[np.float32]) -> float:
    """The standard deviation of noise from pixel to pixel, in 255ths of the range of sRGB.

    `median |d| / 0.6745` of the finest diagonal Haar coefficients `d = (p₀₀ − p₀₁ − p₁₀ + p₁₁) / 2`
    (Donoho & Johnstone 1994), as a root mean square over three channels: grey and two opponents,
    an orthonormal mix of red, green and blue, whose values lie less coarsely than 8 bits. The
    median leaves out edges as long as they touch less than half of the picture.

    Args:
        pixels: `(3, H, W)`, sRGB in [0, 1].

    Returns:
        0 or more; NaN below 2 × 2 px.
    """
    height, width = (side // 2 * 2 for side in pixels.shape[1:])
    if not (height and width):
        return math.nan
    top, bottom = pixels[:, :height:2, :width], pixels[:, 1:height:2, :width]
    apart = top - bottom
    diagonal = np.tensordot(_OPPONENTS, (apart[..., ::2] - apart[..., 1::2]) / 2, axes=1)
    deviations = [float(np.median(np.abs(channel))) / 0.6745 for channel in diagonal]
    return 255 * math.sqrt(sum(d * d for d in deviations) / 3)


def border_steps(pixels: NDArray[np.float32]) -> dict[int, float]:
    """How much more colours change at the border than between bands inside.

    A side's outermost band of `w` px and the next one have mean colours that differ by a step; so
    have the neighbouring bands of that width further in. Means over a whole band leave out what
    is painted in it and keep what runs along the border, such as a frame.

    Args:
        pixels: `(3, H, W)`, sRGB in [0, 1].

    Returns:
        Width of the bands → root mean square of the four steps at the border over that of the steps
        inside, in OKLab; the latter counts at least `LEAST_STEP`. Widths for which there are not
        four bands across the picture are left out.
    """
    lab = srgb_to_oklab(pixels)
    profiles = lab.mean(axis=2, dtype=np.float64), lab.mean(axis=1, dtype=np.float64)
    found = {}
    for width in BANDS:
        if min(pixels.shape[1:]) < 4 * width:
            continue
        outer: list[float] = []
        inner: list[float] = []
        for profile in profiles:
            # From either end, because the width need not divide the side.
            for side in profile, profile[:, ::-1]:
                count = side.shape[1] // width
                bands = side[:, : count * width].reshape(3, count, width).mean(axis=2)
                steps = np.square(np.diff(bands)).sum(axis=0)
                outer.append(steps[0])
                inner.extend(steps[1:-1])
        typical = max(math.sqrt(np.mean(inner)), LEAST_STEP)
        found[width] = math.sqrt(np.mean(outer)) / typical
    return found


# --- pictures ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Measures:
    """What was measured of a picture; `None` where the photo or the paintings that it needs are
    not known, or where the pictures hold too little, such as edges in a flat one.

    Attributes:
        style_gram: mean of `gram_distance` to the paintings over the style layers, 0 to 1.
        style_wasserstein2: mean of `gaussian_distance` to the paintings likewise, 0 to 1.
        content: mean of `feature_distance` to the photo over the content layers, 0 to 1.
        structure: mean of `structure_distance` to the photo likewise, 0 to 1.
        color: `color_distance` to the paintings, OKLab units.
        chroma: `chroma_distance` to the photo, OKLab units.
        edges: `edge_fidelity` to the photo, −1 to 1; the higher the better.
        noise: `noise_deviation` over the largest of photo and paintings at the picture's size,
            which counts at least the rounding to 8 bits; above 1: grainier than any of them.
        border: the largest of `border_steps` after division by the photo's where those are above
            1; up to about 1.5 without artefacts.
        noise_deviation: that of the picture alone, 255ths.
        border_steps: the largest of the picture alone.
        style_layers: style layer → both of its distances, `gram` and `wasserstein2`.
        content_layers: content layer → both of its distances, `features` and `structure`.
    """

    style_gram: float | None = None
    style_wasserstein2: float | None = None
    content: float | None = None
    structure: float | None = None
    color: float | None = None
    chroma: float | None = None
    edges: float | None = None
    noise: float | None = None
    border: float | None = None
    noise_deviation: float | None = None
    border_steps: float | None = None
    style_layers: dict[str, dict[str, float | None]] | None = None
    content_layers: dict[str, dict[str, float | None]] | None = None


@dataclass(frozen=True)
class Measured:
    """A picture of a comparison.

    Attributes:
        picture: its name.
        width: its own, px.
        height: its own, px.
        content: the name of the photo that it was measured against, or `None`.
        styles: the names of the paintings.
        measures: the numbers.
    """

    picture: str
    width: int
    height: int
    content: str | None
    styles: tuple[str, ...]
    measures: Measures


@dataclass(frozen=True)
class Comparison:
    """What `compare` found.

    Attributes:
        size: long side at which the pictures were compared, px; noise and borders were measured at
            their own.
        model: the network.
        style_layers: where style was measured.
        content_layers: where content was measured.
        pictures: in the order given.
        between: `style_distance` of each picture to each, if asked for.
        notes: a line on each thing that was done or left out, and why.
    """

    size: int
    model: str
    style_layers: tuple[str, ...]
    content_layers: tuple[str, ...]
    pictures: tuple[Measured, ...]
    between: list[list[float | None]] | None
    notes: tuple[str, ...]

    def record(self) -> dict[str, Any]:
        """The same as plain data, for JSON."""
        return asdict(self)


class _Style(NamedTuple):
    """A painting with its share in the blend, and its long side in units of the picture's."""

    bitmap: Bitmap
    share: float
    scale: float


@dataclass(frozen=True, eq=False)
class _Subject:
    """A picture with what it is measured against, whole."""

    name: str
    bitmap: Bitmap
    photo: Bitmap | None
    photo_name: str | None
    styles: list[_Style]
    style_names: tuple[str, ...]
    fitted: frozenset[tuple[str, str]]


def compare(
    pictures: Sequence[ImageSource],
    content: ImageSource | None = None,
    style: ImageSource | Sequence[ImageSource] | None = None,
    *,
    style_weights: Sequence[float] = (),
    between: bool = False,
    size: int | None = None,
    model: str = "vgg19",
    style_layers: Any = None,
    content_layers: Any = None,
    device: str = "auto",
    max_pixels: int = DEFAULT_MAX_PIXELS,
) -> Comparison:
    """Measures pictures against the photo and the paintings that they were made from.

    Args:
        pictures: at least one, as for `stylize`.
        content: the photo; by default the one that each picture's settings name, if any.
        style: the paintings; by default those that each picture's settings name, in the sizes that
            they say.
        style_weights: shares of `style` in a blend; equal ones by default.
        between: also measure the style distances between the pictures.
        size: long side at which the pictures are compared, px; by default that of the smallest of
            them, at most `MEASURED_SIDE`.
        model: the network that measures, `vgg19` or `vgg16`, with `:VARIANT` if wanted; with max
            pooling and replicated borders whatever a picture was made with.
        style_layers: names, or such a text as `relu1_2,relu3_2`; by default those of
            `STYLE_LAYERS` that no picture was fitted at.
        content_layers: likewise; by default those of `CONTENT_LAYERS`.
        device: where to run.
        max_pixels: largest picture file to read, in pixels.

    Raises:
        ImageError: a picture cannot be read.
        OptionError: there is no picture to measure, or an option that cannot be used.
        RunError: memory ran out.
        WeightsError: the network's weights cannot be loaded.
    """
    if not pictures:
        raise OptionError("there is no picture to measure: give at least one")
    architecture = _architecture(model)
    given_layers = [
        None if layers is None else _layers(f"--{what}-layers", layers, architecture)
        for what, layers in (("style", style_layers), ("content", content_layers))
    ]
    if size is not None:
        check_side(size)
    placed = pick_device(device)
    paintings = _several(style)
    shares = _shares(style_weights, len(paintings))
    notes: list[str] = []
    read = _Reader(max_pixels, notes)
    subjects = [
        read.subject(picture, number, content, paintings, shares)
        for number, picture in enumerate(pictures, start=1)
    ]
    side = _common_side([one.bitmap for one in subjects], size)
    fitted = frozenset(layer for one in subjects for layer in one.fitted)
    for_style, for_content = (
        _unfitted(given, default, fitted, architecture, what, notes)
        for given, default, what in zip(
            given_layers, (STYLE_LAYERS, CONTENT_LAYERS), ("style", "content"), strict=True
        )
    )
    features = Features(model, layers=[*for_style, *for_content], device=placed)
    seen: list[dict[str, Moments]] = []
    rows: list[Measured] = []
    for one in subjects:
        with _enough_memory(side):
            measures, moments = _measure(one, features, side, for_style, for_content)
        seen.append(moments)
        rows.append(
            Measured(
                *(one.name, one.bitmap.width, one.bitmap.height),
                *(one.photo_name, one.style_names, measures),
            )
        )
    table = None
    if between:
        table = [[_mean(gram_distance(a[n], b[n]) for n in for_style) for b in seen] for a in seen]
    return Comparison(
        *(side, model, tuple(for_style), tuple(for_content), tuple(rows), table, tuple(notes))
    )


def style_distance(
    one: ImageSource,
    other: ImageSource,
    *,
    distance: Literal["gram", "wasserstein2"] = "gram",
    size: int | None = None,
    model: str = "vgg19",
    layers: Any = STYLE_LAYERS,
    device: str = "auto",
    max_pixels: int = DEFAULT_MAX_PIXELS,
) -> float:
    """How far two pictures are apart in style: the mean distance over layers.

    Pictures of different sizes, such as a preview and the full picture, are brought to the same
    long side first.

    Args:
        one: a picture, as for `stylize`.
        other: another.
        distance: `gram` for `gram_distance`, `wasserstein2` for `gaussian_distance`.
        size: that long side in px; by default the smaller one, at most `MEASURED_SIDE`.
        model: the network, with `:VARIANT` if wanted.
        layers: names, or such a text as `relu1_2,relu3_2`.
        device: where to run.
        max_pixels: largest picture file to read, in pixels.

    Returns:
        0 (the same style) to 1; NaN where no layer sees anything in either picture.

    Raises:
        ImageError: a picture cannot be read.
        OptionError: an option that cannot be used.
        RunError: memory ran out.
        WeightsError: the network's weights cannot be loaded.
    """
    if distance not in STYLE_DISTANCES:
        raise OptionError(
            f"distance: there is no '{distance}'; use one of {', '.join(STYLE_DISTANCES)}"
        )
    names = _layers("layers", layers, _architecture(model))
    bitmaps = [read_source(source, max_pixels) for source in (one, other)]
    side = _common_side(bitmaps, size)
    features = Features(model, layers=names, device=pick_device(device))
    with _enough_memory(side):
        ours, theirs = (_seen(features, _fitted_to(b, side), (), names)[1] for b in bitmaps)
    apart = _mean(STYLE_DISTANCES[distance](ours[name], theirs[name]) for name in names)
    return math.nan if apart is None else apart


# --- reading what is compared --------------------------------------------------------------------


class _Reader:
    """Reads pictures and what they are measured against; says in `notes` what it leaves out."""

    def __init__(self, max_pixels: int, notes: list[str]) -> None:
        self._max_pixels = max_pixels
        self._notes = notes
        self._kept: dict[tuple[str, int], Bitmap] = {}

    def subject(
        self,
        picture: Any,
        number: int,
        content: Any,
        styles: Sequence[Any],
        shares: Sequence[float],
    ) -> _Subject:
        """A picture with the photo and paintings given, or else with those in its settings."""
        name = _name(picture, f"picture {number}")
        bitmap = read_source(picture, self._max_pixels)
        side = max(bitmap.width, bitmap.height)
        settings = bitmap.settings or {}
        options = settings.get("options")
        options = options if isinstance(options, Mapping) else {}
        if not settings and (content is None or not styles):
            self._notes.append(
                f"{name}: holds no settings; name its photo and paintings with --content and "
                "--style for the measures that are left out"
            )
        photo, photo_name = None, None
        if content is not None:
            photo, photo_name = self._read(content, side), _name(content, "the photo")
        elif settings.get("content") is not None:
            photo, photo_name = self._recorded(name, settings["content"], "photo", side)
        if photo is not None:
            photo = self._in_shape(photo, str(photo_name), bitmap, name, options)
        found: list[_Style] = []
        names: list[str] = []
        for place, (source, share) in enumerate(zip(styles, shares, strict=True), start=1):
            names.append(_name(source, f"painting {place}"))
            found.append(_Style(self._read(source, side), share, 1.0))
            if not _visible(found[-1].bitmap):
                raise ImageError(
                    f"{names[-1]}: is fully transparent, so there is no style in it; choose another"
                )
        if not styles:
            found, names = self._recorded_styles(name, settings, options, side)
        return _Subject(
            *(name, bitmap, photo, photo_name if photo else None, found, tuple(names)),
            _fitted_layers(options),
        )

    def _read(self, source: Any, side: int) -> Bitmap:
        """A source, read once for all pictures."""
        if not isinstance(source, str | os.PathLike):
            return read_source(source, self._max_pixels, side)
        # Built-in styles are drawn in a size that depends on the picture's.
        key = os.fspath(source), side if is_built_in(source) else 0
        if key not in self._kept:
            self._kept[key] = read_source(source, self._max_pixels, side)
        return self._kept[key]

    def _recorded(
        self, name: str, entry: Any, role: str, side: int
    ) -> tuple[Bitmap | None, str | None]:
        """What a picture's settings name; with a note, nothing where it is not there any more."""
        flag = "--content" if role == "photo" else "--style"
        path = entry.get("path") if isinstance(entry, Mapping) else None
        if not isinstance(path, str) or not path:
            self._notes.append(f"{name}: its {role} was in memory; name it with {flag}")
            return None, None
        if not is_built_in(path) and not _is_file(path):
            self._notes.append(f"{name}: its {role} {path} is gone; name it with {flag}")
            return None, None
        try:
            found = self._read(path, side)
        except InputError as error:
            self._notes.append(f"{name}: its {role} is left out: {error}")
            return None, None
        now = describe_source(path)
        if now and now["sha256"] not in ("", entry.get("sha256")):
            self._notes.append(f"{name}: its {role} {path} has changed since the picture was made")
        return found, path

    def _recorded_styles(
        self, name: str, settings: Mapping[str, Any], options: Mapping[str, Any], side: int
    ) -> tuple[list[_Style], list[str]]:
        entries = settings.get("styles")
        entries = entries if isinstance(entries, list) else []
        try:
            shares = _shares(options.get("style_weights") or (), len(entries))
            scales = parse_scales(options.get("style_scale", 1))
            if len(scales) not in (1, len(entries)):
                raise ValueError
        except (OptionError, TypeError, ValueError):
            self._notes.append(f"{name}: its settings are damaged; name the paintings with --style")
            return [], []
        read = [
            self._recorded(name, entry, "painting", math.ceil(side * max(scales[i % len(scales)])))
            for i, entry in enumerate(entries)
        ]
        names = [path for bitmap, path in read if path is not None and bitmap and _visible(bitmap)]
        if len(names) < len(entries):
            # A part of a blend is another style.
            return [], []
        if settings.get("masks") or settings.get("style_masks"):
            self._notes.append(
                f"{name}: was painted in regions; its style and colours are measured against one "
                "blend of its whole paintings"
            )
        found = [
            _Style(bitmap, share / len(sizes), scale)
            for i, ((bitmap, _), share) in enumerate(zip(read, shares, strict=True))
            for sizes in [scales[i % len(scales)]]
            for scale in sizes
            if bitmap is not None
        ]
        return found, names

    def _in_shape(
        self, photo: Bitmap, photo_name: str, bitmap: Bitmap, name: str, options: Mapping[str, Any]
    ) -> Bitmap:
        """The part of a photo that a picture shows."""
        if options.get("print") and options.get("print_fit") == "fill":
            return _centred(photo, bitmap.width, bitmap.height)
        width, height = fit_within(photo.width, photo.height, max(bitmap.width, bitmap.height))
        if abs(width - bitmap.width) > 2 or abs(height - bitmap.height) > 2:
            self._notes.append(
                f"{name}: {photo_name} has another shape, {photo.width} x {photo.height} px, and "
                f"is stretched to {bitmap.width} x {bitmap.height}"
            )
        return photo


def _name(source: Any, otherwise: str) -> str:
    return one_line(os.fspath(source)) if isinstance(source, str | os.PathLike) else otherwise


def _several(style: Any) -> list[Any]:
    if style is None:
        return []
    several = isinstance(style, Sequence) and not isinstance(
        style, str | bytes | bytearray | memoryview
    )
    return list(cast("Sequence[Any]", style)) if several else [style]


def _shares(weights: Sequence[Any], paintings: int) -> list[float]:
    """A share for each painting; equal ones where none are given."""
    shares = [float(weight) for weight in weights] or [1.0] * paintings
    if len(shares) != paintings:
        raise OptionError(
            f"--style-weights: {len(shares)} shares for {paintings} paintings; give one for each "
            "--style, with commas and no blanks, such as --style-weights 2,1"
        )
    if shares and not (all(0 <= share < math.inf for share in shares) and sum(shares) > 0):
        raise OptionError("--style-weights: give shares of 0 or more, at least one above 0")
    return shares


def _architecture(model: str) -> str:
    name = model.partition(":")[0]
    if name not in CONVOLUTIONS_PER_BLOCK:
        raise OptionError(
            f"--model {model}: the networks are {' and '.join(CONVOLUTIONS_PER_BLOCK)}"
        )
    return name


def _layers(flag: str, layers: Any, architecture: str) -> list[str]:
    """Canonical names of the layers in such a text as `relu1_2,relu3_2`, or in a list."""
    try:
        return [canonical_layer(name, architecture) for name in parse_layers(layers)]
    except ValueError as error:
        raise OptionError(f"{flag}: {error}") from None


def _fitted_layers(options: Mapping[str, Any]) -> frozenset[tuple[str, str]]:
    """The layers that a picture's settings say it was fitted at, each with its architecture."""
    found: set[tuple[str, str]] = set()
    architecture = str(options.get("model", "")).partition(":")[0]
    for role in ("style_layers", "content_layers"):
        try:
            weights = parse_layers(options.get(role))
        except ValueError:
            continue
        found |= {(architecture, name) for name, weight in weights.items() if weight > 0}
    return frozenset(found)


def _unfitted(
    given: list[str] | None,
    default: str,
    fitted: frozenset[tuple[str, str]],
    architecture: str,
    what: str,
    notes: list[str],
) -> list[str]:
    """The layers given, or the default ones without those that a picture was fitted at."""
    wanted = _layers(what, default, architecture) if given is None else given
    clash = [name for name in wanted if (architecture, name) in fitted]
    left = [name for name in wanted if name not in clash]
    if clash and left and given is None:
        notes.append(f"{what}: {', '.join(clash)} left out, because a picture was fitted there")
        return left
    if clash:
        notes.append(f"{what}: a picture was fitted at {', '.join(clash)}, which flatters it")
    return wanted


def _is_file(path: str) -> bool:
    try:
        # Reading a pipe or a device may never end, and a foreign record can name any.
        return stat.S_ISREG(Path(path).stat().st_mode)
    except (OSError, ValueError):
        return False


def _common_side(bitmaps: Iterable[Bitmap], size: int | None) -> int:
    if size is not None:
        return check_side(size)
    return min(MEASURED_SIDE, *(max(bitmap.width, bitmap.height) for bitmap in bitmaps))


def _fitted_to(bitmap: Bitmap, side: int) -> Bitmap:
    return resize_image(bitmap, *fit_within(bitmap.width, bitmap.height, side))


def _centred(bitmap: Bitmap, width: int, height: int) -> Bitmap:
    """The largest part of the proportions `width : height` from the middle of a picture."""
    scale = min(bitmap.width / width, bitmap.height / height)
    wide = min(bitmap.width, max(1, round(width * scale)))
    high = min(bitmap.height, max(1, round(height * scale)))
    left, top = (bitmap.width - wide) // 2, (bitmap.height - high) // 2
    part = slice(top, top + high), slice(left, left + wide)
    alpha = None if bitmap.alpha is None else bitmap.alpha[part]
    return replace(bitmap, pixels=bitmap.pixels[:, *part], alpha=alpha)


def _visible(bitmap: Bitmap) -> bool:
    return bitmap.alpha is None or float(bitmap.alpha.max()) >= 1 / 255


def _opaque(bitmap: Bitmap) -> NDArray[np.float32]:
    """The pixels on the mean colour of what is visible: transparent parts add nothing of theirs."""
    if bitmap.alpha is None:
        return bitmap.pixels
    total = bitmap.alpha.sum(dtype=np.float64)
    mean = np.full(3, 0.5)
    if total > 0:
        mean = (bitmap.pixels * bitmap.alpha).sum(axis=(1, 2), dtype=np.float64) / total
    behind = mean[:, None, None].astype(np.float32)
    return (bitmap.pixels * bitmap.alpha + behind * (1 - bitmap.alpha)).astype(np.float32)


# --- measuring -----------------------------------------------------------------------------------


@contextlib.contextmanager
def _enough_memory(side: int) -> Iterator[None]:
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise RunError(f"out of memory at {side} px; give a smaller --size") from error


def _seen(
    features: Features, bitmap: Bitmap, content_layers: Sequence[str], style_layers: Sequence[str]
) -> tuple[dict[str, Tensor], dict[str, Moments]]:
    """What the network sees of one picture: features at some layers, moments at others."""
    found = make_targets(
        features,
        _tensor(bitmap, features) if content_layers else None,
        [Region([_painting(features, bitmap)], [1.0])] if style_layers else [],
        height=bitmap.height,
        width=bitmap.width,
        content_layers=content_layers,
        style_layers=style_layers,
        tile_pixels=TILE_PIXELS,
    )
    return found.content, found.regions[0].style if style_layers else {}


def _tensor(bitmap: Bitmap, features: Features) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(_opaque(bitmap)))[None].to(features.device)


def _painting(features: Features, bitmap: Bitmap, scale: float = 1.0) -> Painting:
    weight = None
    if bitmap.alpha is not None and _visible(bitmap):
        weight = torch.from_numpy(bitmap.alpha.copy())
    return Painting(_tensor(bitmap, features), weight, scale)


def _measure(
    one: _Subject,
    features: Features,
    side: int,
    style_layers: Sequence[str],
    content_layers: Sequence[str],
) -> tuple[Measures, dict[str, Moments]]:
    """All measures of a picture, and its moments at the style layers."""
    small = _fitted_to(one.bitmap, side)
    ours, moments = _seen(features, small, content_layers if one.photo else (), style_layers)
    lab = srgb_to_oklab(_opaque(small))
    found: dict[str, Any] = {}
    sources: list[Bitmap] = []
    photo_steps: dict[int, float] = {}
    if one.photo is not None:
        photo = resize_image(one.photo, small.width, small.height)
        theirs, _ = _seen(features, photo, content_layers, ())
        found["content_layers"] = {
            name: {
                "features": _number(feature_distance(ours[name], theirs[name])),
                "structure": _number(structure_distance(ours[name], theirs[name])),
            }
            for name in content_layers
        }
        found["content"] = _mean(r["features"] for r in found["content_layers"].values())
        found["structure"] = _mean(r["structure"] for r in found["content_layers"].values())
        photo_lab = srgb_to_oklab(_opaque(photo))
        both = _shown(small) & _shown(photo)
        if both.any():
            found["chroma"] = chroma_distance(lab[:, both], photo_lab[:, both])
        found["edges"] = _number(edge_fidelity(lab[0], photo_lab[0]))
        sources.append(resize_image(one.photo, one.bitmap.width, one.bitmap.height))
        photo_steps = border_steps(_opaque(sources[0]))
    if one.styles:
        brought = [_fitted_to(p.bitmap, max(1, round(side * p.scale))) for p in one.styles]
        shares = [p.share for p in one.styles]
        paintings = [
            _painting(features, bitmap, p.scale)
            for bitmap, p in zip(brought, one.styles, strict=True)
        ]
        wanted = (
            make_targets(
                features,
                None,
                [Region(paintings, shares)],
                height=small.height,
                width=small.width,
                content_layers=(),
                style_layers=style_layers,
                tile_pixels=TILE_PIXELS,
            )
            .regions[0]
            .style
        )
        found["style_layers"] = {
            name: {
                kind: _number(distance(moments[name], wanted[name]))
                for kind, distance in STYLE_DISTANCES.items()
            }
            for name in style_layers
        }
        for kind in STYLE_DISTANCES:
            found[f"style_{kind}"] = _mean(r[kind] for r in found["style_layers"].values())
        palettes = [
            color_statistics(srgb_to_oklab(_opaque(painting))[:, _shown(painting)])
            for painting in brought
        ]
        if _shown(small).any():
            palette = mix_statistics(palettes, shares)
            found["color"] = color_distance(color_statistics(lab[:, _shown(small)]), palette)
        long = max(one.bitmap.width, one.bitmap.height)
        sources += [_fitted_to(p.bitmap, max(1, round(long * p.scale))) for p in one.styles]
    whole = _opaque(one.bitmap)
    deviation, steps = noise_deviation(whole), border_steps(whole)
    found["noise_deviation"] = _number(deviation)
    found["border_steps"] = max(steps.values(), default=None)
    if one.photo is not None and one.styles:
        # A source of a single row has none.
        noises = (_number(noise_deviation(_opaque(source))) or 0.0 for source in sources)
        found["noise"] = _number(deviation / max(255 * QUANTISATION, *noises))
    if one.photo is not None:
        ratios = (steps[width] / max(1.0, photo_steps[width]) for width in steps)
        found["border"] = max(ratios, default=None)
    return Measures(**found), moments


def _shown(bitmap: Bitmap) -> NDArray[np.bool_]:
    """Where a picture is at least half opaque."""
    if bitmap.alpha is None:
        return np.ones(bitmap.pixels.shape[1:], bool)
    return bitmap.alpha >= 0.5


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _mean(values: Iterable[float | None]) -> float | None:
    """The mean of the numbers among some values; `None` where there is none."""
    numbers = [value for value in values if value is not None and math.isfinite(value)]
    return sum(numbers) / len(numbers) if numbers else None
