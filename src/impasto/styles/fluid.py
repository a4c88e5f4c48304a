"""Paint that flows: marbled paper, watercolour, flung enamel."""

import numpy as np

from impasto.styles.canvas import Array, Canvas, blur, oklab, ramp, shade, smoothstep, spline, srgb
from impasto.styles.strokes import Brush, Paint, lay, trace


def marbling(canvas: Canvas) -> Array:
    """Marbled paper: drops of colour floated on size, drawn out with stylus and comb.

    The picture is traced back through the marbler's moves: A. Jaffer et al., "Mathematical
    Marbling", IEEE Computer Graphics and Applications 32(6), 2012.
    """
    rng = canvas.rng
    x, y = canvas.grid()

    def comb(
        across: Array, along: Array, pitch: float, pull: float, sharp: float, shift: float
    ) -> Array:
        # distance to the nearest tine decides how far the paint was dragged
        off = (((across - shift) / pitch + 0.5) % 1 - 0.5) * pitch
        return along - np.float32(pull) * np.exp(-np.sqrt(off * off + (0.4 * sharp) ** 2) / sharp)

    # last moves first: curls, a wavy fine comb, then the wide rakes there and back
    for cx, cy in canvas.scatter(0.42, 0.8):
        dx, dy = x - cx, y - cy
        far = np.sqrt(dx * dx + dy * dy) + 1e-6
        turn = np.float32(rng.choice([-1, 1]) * rng.uniform(1.6, 3.0)) * np.exp(-far / 0.055)
        c, s = np.cos(turn), np.sin(turn)
        x, y = cx + c * dx - s * dy, cy + s * dx + c * dy
    x = x + np.float32(0.02) * np.sin(y * 2 * np.pi / 0.21)
    y = comb(x, y, 0.058, 0.15, 0.012, rng.random())
    x = comb(y, x, 0.15, 0.13, 0.03, rng.random())
    y = comb(x, y, 0.15, -0.16, 0.03, rng.random())
    drift = canvas.field(2.0, 2)
    x, y = x + 0.06 * drift(x, y), y + 0.06 * drift(x + 3, y + 9)

    # drops, last first: a point inside is that colour; outside, undo the push and go on
    colors = [
        "#12305e",
        "#f2e3c4",
        "#b8322c",
        "#1f7a78",
        "#e0a02f",
        "#0d1830",
        "#e9d3b0",
        "#5f9fb0",
        "#d9683c",
        "#f8f0dd",
    ]
    lab = oklab(colors)
    found = np.zeros(x.shape, np.int32)
    open_pixels = np.ones(x.shape, bool)
    drops = canvas.scatter(0.105, 1.4, margin=0.2)
    for k, (cx, cy) in enumerate(drops):
        radius = np.float32(
            rng.choice([0.02, 0.035, 0.06], p=[0.4, 0.4, 0.2]) * rng.uniform(0.8, 1.2)
        )
        dx, dy = x - cx, y - cy
        square = dx * dx + dy * dy
        inside = open_pixels & (square < radius**2)
        found[inside] = k + 1
        open_pixels &= ~inside
        back = np.sqrt(np.maximum(1 - radius**2 / np.maximum(square, 1e-9), 0))
        x, y = cx + dx * back, cy + dy * back
    # what no drop covers is the first ground, itself banded
    bands = np.floor((x * 0.7 + y) * 19).astype(np.int32)
    pick = rng.integers(0, len(lab), len(drops) + 2)
    index = np.where(open_pixels, bands % len(lab), pick[found])
    color = lab[index]
    grain = canvas.noise(110, 3, 0.7)
    pigment = canvas.noise(12, 5, 0.6)
    color[..., 0] += 0.013 * grain + 0.016 * pigment
    # ink gathers at the rim of a vein
    soft = blur(np.ascontiguousarray(color[..., 0]), 0.0022 * canvas.unit)
    color[..., 0] += 0.28 * np.clip(color[..., 0] - soft, -0.2, 0.2)
    fibre = canvas.noise(170, 2, stretch=5.0) * 0.010
    specks = smoothstep(2.3, 2.8, canvas.noise(130, 1))[..., None]
    out = srgb(color) * (1 + fibre[..., None])
    return out * (1 - 0.5 * specks) + 0.5 * specks * np.array([0.97, 0.93, 0.84], np.float32)


def watercolor(canvas: Canvas) -> Array:
    """Wet washes over each other on rough paper: blooms, granulation, dark drying edges."""
    rng = canvas.rng
    x, y = canvas.grid()
    rough = canvas.noise(48, 4, 0.75)
    tooth = canvas.light(0.0011 * rough, 0.0005)
    spread = canvas.field(9, 3)
    sx, sy = 0.022 * spread(x, y), 0.022 * spread(x + 4, y + 8)
    fray = 0.006 * canvas.noise(40, 3)
    pigments = [
        "#1f3f8f",
        "#2a7f9e",
        "#3f9a78",
        "#e0a526",
        "#d8532c",
        "#b32556",
        "#6a3d99",
        "#27506b",
        "#e98b6d",
    ]
    lab = ramp(pigments, np.linspace(0, 1, len(pigments)))
    absorb = -np.log(np.clip(srgb(lab), 0.02, 0.98))
    density = np.zeros((*x.shape, 3), np.float32)
    tone = canvas.field(1.3, 2)
    pool = canvas.noise(4, 4, 0.6)
    grit = canvas.noise(120, 2) - 0.7 * rough
    for spacing, low, high, strength in (
        (0.20, 0.13, 0.24, 0.26),
        (0.130, 0.05, 0.11, 0.38),
        (0.085, 0.014, 0.045, 0.60),
    ):
        for cx, cy in canvas.scatter(spacing, 1.3, 0.05):
            radius = np.float32(rng.uniform(low, high))
            place = 0.5 + 0.45 * float(tone(np.array([cx]), np.array([cy]))[0])
            kind = int(np.clip(place + rng.normal(0, 0.17), 0, 0.999) * len(pigments))
            thick = np.float32(strength * rng.uniform(0.45, 1.15))
            squash, turn = rng.uniform(0.55, 1.0), rng.uniform(0, np.pi)
            lean = np.float32(rng.uniform(-0.5, 0.5))
            reach = float(radius) * 1.5 + 0.05
            columns = slice(*np.searchsorted(canvas.x[0], [cx - reach, cx + reach]))
            rows = slice(*np.searchsorted(canvas.y[:, 0], [cy - reach, cy + reach]))
            if columns.start == columns.stop or rows.start == rows.stop:
                continue
            box = (rows, columns)
            dx, dy = x[box] + sx[box] - np.float32(cx), y[box] + sy[box] - np.float32(cy)
            c, s = np.float32(np.cos(turn)), np.float32(np.sin(turn))
            u, v = c * dx + s * dy, (c * dy - s * dx) / np.float32(squash)
            inside = radius - np.sqrt(u * u + v * v) + fray[box]
            fill = smoothstep(-0.0012, 0.0012, inside)
            # pigment is carried to the drying edge (Deegan et al., Nature 389, 1997)
            edge = np.exp(-np.abs(inside - 0.003) / 0.0032)
            wet = 1 + lean * u / radius + 0.22 * pool[box]
            amount = thick * fill * np.clip(wet * (0.70 + 0.24 * grit[box]) + 0.85 * edge, 0.05, 3)
            density[box] += amount[..., None] * absorb[kind]
    light = np.exp(-density)
    paper = np.array([0.985, 0.965, 0.92], np.float32) * (1 + 0.05 * np.tanh(tooth))[..., None]
    dried = paper * light
    # drops of clear water push pigment aside
    bloom = smoothstep(1.35, 1.6, canvas.noise(22, 2)) * 0.16
    spatter = smoothstep(2.15, 2.3, canvas.noise(46, 1))[..., None]
    tint = srgb(ramp(pigments, 0.5 + 0.3 * canvas.noise(6, 1)))
    dried = dried + (paper - dried) * bloom[..., None]
    return dried * (1 - spatter) + spatter * dried * tint


def drip(canvas: Canvas) -> Array:
    """Skeins of enamel flung over raw canvas: black, white, silver, ochre and brick in loops."""
    rng = canvas.rng
    width, height = canvas.extent
    shape = (canvas.height, canvas.width)
    weave = canvas.noise(150, 2, stretch=2.0)
    ground = ramp(["#a98c62", "#cdb58a", "#dfcfab"], 0.5 + 0.2 * canvas.noise(4, 4))
    ground[..., 0] += 0.018 * weave
    paint = Paint(ground, np.zeros(shape, np.float32))
    enamels = ["#15151a", "#f4f0e2", "#8f969c", "#d59a2b", "#a8382a", "#2f6f78"]
    layers = (
        ("#8f969c", 16, 0.0140, 2.0),
        ("#15151a", 22, 0.0190, 2.2),
        ("#d59a2b", 18, 0.0090, 2.0),
        ("#2f6f78", 18, 0.0095, 1.8),
        ("#f4f0e2", 20, 0.0120, 2.2),
        ("#a8382a", 18, 0.0080, 1.8),
        ("#15151a", 24, 0.0070, 2.6),
        ("#f4f0e2", 18, 0.0045, 2.4),
    )
    nodes = 121
    for number, (enamel, count, thick, length) in enumerate(layers):
        n = round(count * 1.5)
        # the hand swings: its turning rate wanders about zero, now and then through a loop
        swing = rng.normal(0, 0.25, (16, n)).astype(np.float32)
        rate = spline(swing, np.linspace(0, 12.9, nodes, dtype=np.float32)).T * 1.4
        heading = rng.uniform(0, 2 * np.pi, (n, 1)) + np.cumsum(rate, axis=1)
        stride = length / nodes * np.exp(rng.normal(0, 0.25, (n, 1)))
        steps = stride[..., None] * np.stack([np.cos(heading), np.sin(heading)], -1)
        start = rng.uniform(-0.1, 1.1, (n, 1, 2)) * [width, height]
        paths = (
            np.cumsum(steps, axis=1) + start - steps.mean(1, keepdims=True) * nodes / 2
        ).astype(np.float32)
        size = (thick * np.exp(rng.normal(0, 0.35, n))).astype(np.float32)
        color = np.repeat(oklab([enamel]), n, 0) + rng.normal(0, 0.012, (n, 3))
        line = Brush(bristles=3, ragged=0.1, dry=0.0, round=0.25, body=1.0, variants=6)
        lay(canvas, paint, paths, size, color.astype(np.float32), line, thickness=0.004, streak=0.0)
        # drops beside the skeins: from dust to puddles
        along = rng.integers(0, nodes, (n, 40))
        drops = np.take_along_axis(paths, along[..., None], 1).reshape(-1, 2)
        drops = drops + rng.normal(0, 0.012, drops.shape)
        blob = 0.0030 * np.exp(rng.normal(0, 0.6, len(drops))) * (1 + 0.3 * (number < 3))
        spin = rng.uniform(0, np.pi, len(drops)).astype(np.float32)
        lay(
            canvas,
            paint,
            trace(
                drops.astype(np.float32),
                (blob * rng.uniform(1.0, 1.9, len(drops))).astype(np.float32),
                lambda _x, _y, spin=spin: spin,
            ),
            blob.astype(np.float32),
            oklab([enamels[(number * 5 + 1) % 6], enamel])[
                (rng.random(len(drops)) < 0.8).astype(int)
            ],
            Brush(bristles=3, ragged=0.1, dry=0.0, round=1.0, body=1.0),
            thickness=0.004,
            streak=0.0,
        )
    slope = canvas.light(paint.height + 0.0006 * weave, 0.0006) * 1.3
    return shade(srgb(paint.color), slope, 0.45, 0.28)
