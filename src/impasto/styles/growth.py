"""Patterns that grow: coral, frost, feathers."""

import numpy as np

from impasto.styles.canvas import Array, Canvas, oklab, ramp, shade, smoothstep, spline, srgb
from impasto.styles.strokes import Brush, Paint, lay, trace


def _labyrinth(canvas: Canvas, wavelength: float, bias: float, rounds: int = 26) -> Array:
    """Ridges and valleys `(H, W)`, mostly within -1 to 1, as activator and inhibitor form them.

    Short-range activation and long-range inhibition (A. Turing, "The Chemical Basis of
    Morphogenesis", 1952), here as repeated band-passing and saturation of noise on a grid that does
    not depend on the canvas. `bias` > 0 turns stripes into spots, < 0 into holes.
    """
    cell = wavelength / 8
    shape = tuple(int(side / cell) + 8 for side in canvas.extent[::-1])
    state = canvas.rng.standard_normal(shape)
    # frequencies in cycles per wavelength: the band's peak is at one
    fy, fx = np.fft.fftfreq(shape[0])[:, None] * 8, np.fft.rfftfreq(shape[1])[None, :] * 8
    square = fx * fx + fy * fy
    band = (np.exp(-0.72 * square) - np.exp(-1.45 * square)).astype(np.float32)
    band *= np.float32(3.6 / band.max())
    for _ in range(rounds):
        state = np.fft.irfft2(np.fft.rfft2(np.tanh(state - bias)) * band, shape)
    ridges = (state / (1.4 * np.std(state))).astype(np.float32)
    rows, columns = canvas.y[:, 0] / np.float32(cell) + 1, canvas.x[0] / np.float32(cell) + 1
    return spline(spline(ridges, rows).T, columns).T


def coral(canvas: Canvas) -> Array:
    """Brain coral and polyps: winding ridges of rose and apricot over turquoise depths."""
    x, y = canvas.grid()
    ridge = _labyrinth(canvas, 0.048, 0.0)
    small = _labyrinth(canvas, 0.017, 0.22)
    place = canvas.noise(2.6, 3)
    spotted = smoothstep(0.25, 0.55, place)
    rough, grit = canvas.noise(60, 3, 0.8), canvas.noise(130, 2)
    form = ridge * (1 - spotted) + spotted * (0.45 * ridge + 0.75 * small)
    hue = canvas.field(1.7, 2)(x, y)
    depth = np.clip(0.5 + 0.5 * form + 0.05 * rough, 0, 1)
    warm = ramp(["#06243a", "#0b6a78", "#5a2a5e", "#d23c62", "#ff7a66", "#ffc79a"], depth)
    cool = ramp(["#04182e", "#0a4f74", "#12848f", "#3fc0a0", "#b4e8a0", "#fff3c8"], depth)
    gold = ramp(["#141038", "#3b1f7b", "#a0308c", "#f25a4e", "#fda03a", "#ffe28a"], depth)
    part = smoothstep(-0.45, 0.1, hue)[..., None]
    color = cool * (1 - part) + warm * part
    part = smoothstep(0.35, 0.75, hue)[..., None]
    color = color * (1 - part) + gold * part
    # septa: fine teeth across the slope of every ridge
    slope_x, slope_y = (
        np.gradient(form, axis=a) if form.shape[a] > 1 else 0 * form for a in (1, 0)
    )
    across = np.arctan2(slope_y, slope_x)
    teeth = np.sin(7 * across + 2 * np.pi * (x + y) / 0.05)
    flank = smoothstep(0.95, 0.35, np.abs(form))
    color[..., 0] += 0.055 * teeth * flank + 0.020 * grit
    dots = smoothstep(1.5, 1.9, canvas.noise(75, 1)) * smoothstep(0.3, 0.8, form)
    color[..., 0] += 0.10 * dots
    height = 0.010 * form + 0.0012 * teeth * flank + 0.0010 * rough + 0.0006 * grit
    return shade(srgb(color), canvas.light(height, 0.0010) * 1.2, 0.5, 0.18)


def frost(canvas: Canvas) -> Array:
    """Frost on a window at dusk: ferns of ice that branch and branch again over deep blue."""
    rng = canvas.rng
    shape = (canvas.height, canvas.width)
    night, bend = canvas.noise(2.0, 3), canvas.field(1.5, 2)
    grain = canvas.noise(120, 2)
    glass = ramp(
        ["#060c26", "#10265c", "#1b4488", "#3a5fb0", "#8a5aa8", "#e08a7c"], 0.48 + 0.26 * night
    )
    glass[..., 0] += 0.020 * grain + 0.02 * canvas.noise(40, 3)
    paint = Paint(glass, np.zeros(shape, np.float32))
    points = canvas.scatter(0.125, 1.3, margin=0.15)
    n = len(points)
    lean = rng.normal(0, 0.5, n).astype(np.float32) + np.float32(1.2)

    def sway(px: Array, py: Array) -> Array:
        return lean + np.float32(1.9) * bend(px, py)

    length = rng.uniform(0.14, 0.44, n).astype(np.float32)
    fronds = trace(points, length, sway, 17)

    def branch(parents: Array, count: int, share: float, angle: float) -> tuple[Array, Array]:
        """Straight needles to both sides of each parent, shorter towards its tip."""
        t = (np.arange(count) + rng.random((len(parents), count))) / count
        place = t * (parents.shape[1] - 1.001)
        low = place.astype(np.int32)
        part = (place - low)[..., None]
        row = np.arange(len(parents))[:, None]
        foot = parents[row, low] * (1 - part) + parents[row, low + 1] * part
        ahead = parents[row, low + 1] - parents[row, low]
        heading = np.arctan2(ahead[..., 1], ahead[..., 0])
        span = np.linalg.norm(np.diff(parents, axis=1), axis=-1).sum(1)[:, None]
        reach = share * span * (1 - t) ** 0.8 * rng.uniform(0.55, 1.1, t.shape)
        side = np.where(np.arange(count) % 2 == 0, angle, -angle) + rng.normal(0, 0.05, t.shape)
        step = np.stack([np.cos(heading + side), np.sin(heading + side)], -1)
        u = np.linspace(0, 1, 5)[:, None]
        paths = foot[:, :, None] + step[:, :, None] * (reach[..., None, None] * u)
        return paths.reshape(-1, 5, 2).astype(np.float32), reach.reshape(-1)

    needles, first = branch(fronds, 44, 0.36, 0.98)
    twigs, second = branch(needles, 14, 0.40, 0.95)
    ice = ["#5f8fd0", "#a9cdf0", "#e4f2fb", "#ffffff"]
    needle = Brush(bristles=3, ragged=0.1, dry=0.0, round=0.7, body=0.9, variants=12)
    for paths, reach, wide, level in (
        (twigs, second, 0.0021, 0.40),
        (needles, first, 0.0034, 0.62),
        (fronds, length, 0.0062, 0.88),
    ):
        keep = reach > 0.004
        # fronds lie one over the other, each with its branches
        count = int(keep.sum())
        color = ramp(ice, level + rng.normal(0, 0.14, count) + 0.1 * bend(*paths[keep][:, 0].T))
        thin = wide * np.clip(reach[keep] / np.quantile(reach, 0.9), 0.35, 1.2)
        lay(
            canvas,
            paint,
            paths[keep],
            thin.astype(np.float32),
            color.astype(np.float32),
            needle,
            thickness=0.0028,
            streak=0.02,
            opacity=0.88,
        )
    crystals = smoothstep(1.0, 1.9, canvas.noise(95, 2) + 0.5 * night)[..., None]
    paint.color += crystals * 0.5 * (oklab(["#dcecf8"]) - paint.color)
    height = paint.height + 0.0009 * crystals[..., 0] + 0.0003 * grain
    return shade(srgb(paint.color), canvas.light(height, 0.0006) * 1.3, 0.45, 0.30)


def plumage(canvas: Canvas) -> Array:
    """Feathers that overlap like tiles, barb by barb: bronze and green round eyes of blue."""
    rng = canvas.rng
    shape = (canvas.height, canvas.width)
    bend, hue = canvas.field(1.3, 2), canvas.field(1.8, 2)
    paint = Paint(
        np.broadcast_to(oklab(["#0c1a1e"]), (*shape, 3)).copy(), np.zeros(shape, np.float32)
    )
    feet = canvas.scatter(0.052, 0.9, margin=0.14)
    n = len(feet)
    angle = (np.float32(1.45) + np.float32(0.9) * bend(*feet.T)).astype(np.float32)
    # the lowest feather of every stack is drawn first
    feet = feet[np.argsort(-(feet * np.stack([np.cos(angle), np.sin(angle)], -1)).sum(-1))]
    angle = (np.float32(1.45) + np.float32(0.9) * bend(*feet.T)).astype(np.float32)
    size = rng.uniform(0.10, 0.155, n).astype(np.float32)
    wide = size * rng.uniform(0.36, 0.46, n).astype(np.float32)
    kind = hue(*feet.T) + rng.normal(0, 0.22, n)
    barbs = 110
    t = (np.arange(barbs, dtype=np.float32) + 0.5) / barbs
    curve = rng.normal(0, 0.10, n).astype(np.float32)

    def at(along: Array, off: Array, one: np.ndarray) -> Array:
        """Places on feathers `one`: along the quill in lengths, off it in widths."""
        turn = angle[one] + curve[one] * along
        c, s = np.cos(turn), np.sin(turn)
        u, v = along * size[one], off * wide[one]
        return np.stack([feet[one, 0] + c * u - s * v, feet[one, 1] + s * u + c * v], -1)

    one = np.repeat(np.arange(n), 2 * barbs)
    along = np.tile(np.repeat(t, 2), n)
    side = np.tile(np.array([1, -1], np.float32), n * barbs)
    # the outline of a feather: broad near its end, round, open at the foot
    outline = np.sqrt(np.clip(1 - (2 * along - 1.15) ** 2 / 1.35, 0.02, 1)) * (0.45 + 0.6 * along)
    reach = outline * rng.uniform(0.86, 1.04, len(one)).astype(np.float32)
    node = np.linspace(0, 1, 6, dtype=np.float32)
    off = side[:, None] * reach[:, None] * node
    lift = 0.34 * (wide / size)[one][:, None] * np.abs(off) * (1.5 - 0.5 * node)
    paths = at(np.minimum(along[:, None] * 0.86 + lift * 1.6, 1.08), off, one[:, None])
    rust = ["#fff0c0", "#e8b04a", "#a8521c", "#4d1a10", "#d9772a", "#2a0e12", "#f2cf7a"]
    eyed = ["#0a1450", "#1a3fb0", "#12b0b4", "#c98a2a", "#5b3a12", "#3f9a4a", "#0f4f3c", "#9fc65a"]
    teal = ["#e6f2c8", "#3fc0a8", "#0f6f86", "#101f5c", "#2a8fb0", "#0b1030", "#7fd6c0"]
    # barbs are cut in short pieces, so that rings of colour can run across them
    pieces, tints = [], []
    for k in range(5):
        piece = paths[:, k : k + 2]
        middle = piece.mean(1)
        local = middle - feet[one]
        c, s = np.cos(angle[one]), np.sin(angle[one])
        u = (local[:, 0] * c + local[:, 1] * s) / size[one]
        v = (local[:, 1] * c - local[:, 0] * s) / wide[one]
        ring = np.hypot((u - 0.66) * 1.9, v * 0.95) + rng.normal(0, 0.02, len(u))
        color = np.where(
            (kind[one] > 0.35)[:, None], ramp(rust, ring / 1.5), ramp(eyed, ring / 1.3)
        )
        color = np.where((kind[one] < -0.45)[:, None], ramp(teal, ring / 1.5), color)
        pieces.append(piece)
        tints.append(color)
    owner = np.tile(one, 5)
    order = np.argsort(owner, kind="stable")
    piece, color = np.concatenate(pieces)[order], np.concatenate(tints)[order]
    owner = owner[order]
    u = np.linspace(-0.12, 1.12, 4, dtype=np.float32)[:, None]
    piece = piece[:, :1] * (1 - u) + piece[:, 1:] * u
    color[:, 0] += rng.normal(0, 0.035, len(color)) + rng.normal(0, 0.03, n)[owner]
    lay(
        canvas,
        paint,
        piece.astype(np.float32),
        (size[owner] / barbs * rng.uniform(1.1, 1.7, len(owner))).astype(np.float32),
        color.astype(np.float32),
        Brush(bristles=3, ragged=0.1, dry=0.0, round=0.1, body=0.9, variants=12),
        thickness=0.0016,
        streak=0.03,
    )
    slope = canvas.light(paint.height, 0.0006) * 1.4
    return shade(srgb(paint.color), slope, 0.5, 0.22)
