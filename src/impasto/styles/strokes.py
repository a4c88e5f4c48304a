"""Brush strokes by the thousand: ribbons along a flow, with bristles and a relief of paint.

A layer of strokes is drawn in two steps. First every stroke's ribbon is sampled a little finer
than the pixels, and each pixel remembers the last sample that fell on it: strokes drawn later
cover earlier ones. Then colour and height are looked up once per visible pixel.
"""

from dataclasses import dataclass

import numpy as np

from impasto.styles.canvas import Array, Canvas, Field, smoothstep, spline

_SAMPLES_PER_CHUNK = 4_000_000


@dataclass
class Brush:
    """How one kind of stroke is shaped.

    Attributes:
        bristles: number of bristle tracks across the stroke.
        ragged: 0 for clean ends, 1 for ends that run out bristle by bristle.
        dry: part of the stroke's second half where bristles leave gaps.
        round: 0 for a square end, 1 for a lens that tapers over its whole length.
        body: 0 for flat bands between bristles, 1 for a domed bead of paint.
        variants: how many different strokes there are; fewer cost less where they are large.
    """

    bristles: int = 10
    ragged: float = 0.5
    dry: float = 0.2
    round: float = 0.3
    body: float = 0.5
    variants: int = 24


@dataclass
class Paint:
    """What has been painted so far: colour `(H, W, 3)` in Oklab, and the height of the paint."""

    color: Array
    height: Array


def trace(start: Array, length: Array, flow: Field, nodes: int = 9) -> Array:
    """Centre lines `(n, nodes, 2)` of strokes through `start` along a field of angles (radians).

    The number of nodes is odd: `start` is the middle one.
    """
    paths = np.empty((len(start), nodes, 2), np.float32)
    middle = nodes // 2
    paths[:, middle] = start
    step = (length / (nodes - 1)).astype(np.float32)[:, None]
    for direction in (1, -1):
        point = start.astype(np.float32)
        heading = None
        for k in range(1, middle + 1):
            angle = flow(point[:, 0], point[:, 1])
            move = np.stack([np.cos(angle), np.sin(angle)], -1) * direction
            if heading is not None:
                # a field of angles may jump by half a turn; the hand does not
                move *= np.where((move * heading).sum(-1, keepdims=True) < 0, -1, 1)
            heading = move
            point = point + move * step
            paths[:, middle + direction * k] = point
    return paths


def lay(
    canvas: Canvas,
    paint: Paint,
    paths: Array,
    width: Array,
    color: Array,
    brush: Brush,
    *,
    thickness: float = 0.004,
    streak: float = 0.04,
    second: Array | None = None,
    opacity: float = 1.0,
) -> None:
    """Paints one layer of strokes, in the order given, onto `paint`.

    Args:
        canvas: the surface.
        paint: changed in place.
        paths: centre lines `(n, nodes, 2)`, relative.
        width: full widths `(n,)`, relative.
        color: Oklab colours `(n, 3)`.
        brush: the shape of the strokes.
        thickness: height of the paint, relative.
        streak: deviation of lightness from bristle to bristle, in Oklab units.
        second: colours `(n, 3)` picked up by some of the bristles.
        opacity: 1 covers; less lets the ground shine through.
    """
    rng, count = canvas.rng, len(paths)
    span = np.linalg.norm(np.diff(paths, axis=1), axis=-1).sum(1)
    along = max(4, int(np.ceil(1.35 * canvas.unit * np.quantile(span, 0.98))))
    across = max(3, int(np.ceil(1.45 * canvas.unit * np.quantile(width, 0.98))))
    relief, kept, tone, mixed = _brush_tables(rng, brush, along, across)
    variant = rng.integers(0, len(relief), count)

    owner = _visible(canvas, paths, width, kept, variant)
    pixel = np.flatnonzero(owner >= 0)
    stroke, cell = np.divmod(owner[pixel], along * across)
    texel = variant[stroke] * (along * across) + cell
    fresh = color[stroke]
    if second is not None:
        part = mixed.reshape(-1)[texel][:, None]
        fresh = fresh * (1 - part) + second[stroke] * part
    fresh[:, 0] += streak * tone.reshape(-1)[texel]
    ground = paint.color.reshape(-1, 3)
    ground[pixel] = ground[pixel] * (1 - opacity) + fresh * opacity
    level = rng.uniform(0.5, 1.0, count).astype(np.float32)[stroke]
    body = level * relief.reshape(-1)[texel] * thickness
    flat = paint.height.reshape(-1)
    flat[pixel] = 0.35 * flat[pixel] + body


def _visible(
    canvas: Canvas, paths: Array, width: Array, kept: Array, variant: np.ndarray
) -> np.ndarray:
    """For each pixel, the index of the last stroke sample on it, or -1."""
    _, along, across = kept.shape
    nodes = paths.shape[1]
    position = np.linspace(0, nodes - 1, along, dtype=np.float32)
    basis = spline(np.eye(nodes + 2, dtype=np.float32), np.minimum(position, nodes - 1.001))
    # the spline's end nodes are mirrored, so that strokes keep their whole length
    ends = np.concatenate(
        [2 * paths[:, :1] - paths[:, 1:2], paths, 2 * paths[:, -1:] - paths[:, -2:-1]], axis=1
    )
    basis = basis[:, : ends.shape[1]]
    side = np.linspace(-0.5, 0.5, across, dtype=np.float32)
    owner = np.full(canvas.height * canvas.width, -1, np.int64)
    scale = (canvas.width / canvas.extent[0], canvas.height / canvas.extent[1])
    chunk = max(1, _SAMPLES_PER_CHUNK // (along * across))
    cells = np.arange(along * across).reshape(along, across)
    for first in range(0, len(paths), chunk):
        part = slice(first, first + chunk)
        centre = np.einsum("sk,nkc->nsc", basis, ends[part], optimize=True)
        tangent = np.gradient(centre, axis=1)
        tangent /= np.linalg.norm(tangent, axis=-1, keepdims=True) + 1e-9
        half = width[part, None, None] * side
        column = (centre[:, :, :1] - tangent[:, :, 1:] * half) * scale[0]
        row = (centre[:, :, 1:] + tangent[:, :, :1] * half) * scale[1]
        column, row = np.floor(column).astype(np.int32), np.floor(row).astype(np.int32)
        use = kept[variant[part]] & (column >= 0) & (column < canvas.width)
        use &= (row >= 0) & (row < canvas.height)
        number = np.arange(first, first + len(centre))[:, None, None] * cells.size + cells
        # of equal indices NumPy keeps the last value: later strokes lie on top
        owner[(row.astype(np.int64) * canvas.width + column)[use]] = number[use]
    return owner


def _brush_tables(
    rng: np.random.Generator, brush: Brush, along: int, across: int
) -> tuple[Array, np.ndarray, Array, Array]:
    """Relief, mask, tone and colour-mix tables `(variants, along, across)` of a brush."""
    u = np.linspace(0, 1, along, dtype=np.float32)
    v = np.linspace(0, 1, across, dtype=np.float32)
    tables: list[list[np.ndarray]] = [[], [], [], []]
    for _ in range(brush.variants):
        tracks = rng.standard_normal((7, brush.bristles + 4), np.float32)
        tracks[1:] = 0.35 * tracks[1:] + tracks[:1]
        coarse = rng.standard_normal((8, 7), np.float32)
        reach = rng.random((2, brush.bristles + 4), np.float32)

        def stretch(lattice: Array) -> Array:
            rows = spline(lattice, u * (len(lattice) - 4))
            return spline(rows.T, v * (lattice.shape[1] - 4)).T

        grooves = stretch(tracks) * 1.6
        patches = stretch(coarse)
        ends = spline(reach.T, v * (reach.shape[1] - 4)).T
        low = 0.02 + 0.16 * brush.ragged * ends[0]
        high = 0.98 - 0.36 * brush.ragged * ends[1] ** 2
        centred = np.abs(2 * v - 1)[None, :]
        taper = np.minimum(u, 1 - u)[:, None] / np.float32(0.02 + 0.48 * brush.round)
        outline = np.sqrt(np.clip(1 - (1 - np.clip(taper, 0, 1)) ** 2, 0, 1))
        outline = outline + 0.12 * brush.ragged * (patches - 0.3)
        mask = (u[:, None] > low) & (u[:, None] < high) & (centred <= outline)
        gap = (u[:, None] - (1 - brush.dry)) / max(brush.dry, 1e-3)
        mask &= ~((gap > 0) & (grooves < -1.3 + 1.6 * gap * brush.dry))
        dome = np.sqrt(np.clip(1 - centred**2, 0, 1))
        rim = smoothstep(0.55, 0.95, np.broadcast_to(centred, grooves.shape))
        load = 1 - 0.45 * u[:, None] + 0.5 * smoothstep(0.85, 1.0, u)[:, None]
        relief = load * (
            brush.body * dome
            + (1 - brush.body) * (0.55 + 0.3 * rim)
            + 0.22 * grooves
            + 0.15 * patches
        )
        tables[0].append(relief)
        tables[1].append(mask)
        tables[2].append(grooves + 0.5 * patches)
        tables[3].append(smoothstep(0.2, 1.1, grooves + 0.6 * patches))
    relief, kept, tone, mixed = (np.stack(table) for table in tables)
    return relief, kept, tone, mixed
