"""Fibres and dry colour: embroidery, pastel, ikat, batik."""

import numpy as np

from impasto.styles.canvas import Array, Canvas, blur, oklab, ramp, shade, smoothstep, srgb
from impasto.styles.strokes import Brush, Paint, lay, trace


def embroidery(canvas: Canvas) -> Array:
    """Silk embroidery: satin stitches in ribbons of colour that wind like waves."""
    rng = canvas.rng
    bend = canvas.field(1.7, 2)
    shape = (canvas.height, canvas.width)
    paint = Paint(
        np.broadcast_to(oklab(["#1b2238"]), (*shape, 3)).copy(), np.zeros(shape, np.float32)
    )
    silks = [
        "#14284f",
        "#23639a",
        "#58a6c4",
        "#e8e3cf",
        "#f2b84b",
        "#d9602f",
        "#a32644",
        "#4d1e4a",
        "#1c5a55",
        "#6aa678",
        "#e4d9a2",
    ]

    def bands(x: Array, y: Array) -> Array:
        return bend(x, y) * np.float32(2.1) + np.float32(0.9) * y + np.float32(0.5) * x

    def flow(x: Array, y: Array) -> Array:
        # stitches lie slantwise across their ribbon
        e = np.float32(0.004)
        dx, dy = bands(x + e, y) - bands(x - e, y), bands(x, y + e) - bands(x, y - e)
        lean = np.where(np.floor(bands(x, y) * 6).astype(np.int32) % 2 == 0, 0.95, -0.95)
        return np.arctan2(dy, dx) + lean.astype(np.float32)

    order = rng.permutation(len(silks))
    for spacing, size, length, rise in (
        (0.0115, 0.0125, 0.062, 0.004),
        (0.0088, 0.0062, 0.040, 0.0042),
    ):
        points = canvas.scatter(spacing, 1.0, margin=0.03)
        n = len(points)
        level = bands(*points.T) * 6
        ribbon = np.floor(level).astype(np.int32)
        part = (level - ribbon).astype(np.float32)
        kind = order[(ribbon * 7) % len(silks)]
        color = oklab(silks)[kind]
        color[:, 0] += 0.16 * (part - 0.5) + rng.normal(0, 0.025, n)
        color[:, 1:] += rng.normal(0, 0.008, (n, 2))
        gold = (part < 0.10) | (part > 0.93)
        color = np.where(
            gold[:, None], ramp(["#7a4d12", "#d9a02e", "#fbe6a0"], rng.random(n)), color
        )
        paths = trace(
            points,
            (length * np.where(gold, 0.5, 1) * rng.uniform(0.8, 1.1, n)).astype(np.float32),
            flow,
        )
        lay(
            canvas,
            paint,
            paths,
            (size * rng.uniform(0.8, 1.15, n)).astype(np.float32),
            color.astype(np.float32),
            Brush(bristles=5, ragged=0.1, dry=0.0, round=0.12, body=0.95),
            thickness=rise,
            streak=0.03,
            second=(color + np.array([0.06, 0, 0], np.float32)).astype(np.float32),
        )
    slope = canvas.light(paint.height, 0.0006) * 1.25
    lint = 1 + 0.02 * canvas.noise(150, 2)[..., None]
    return shade(srgb(paint.color) * lint, slope, 0.55, 0.24)


def pastel(canvas: Canvas) -> Array:
    """Soft pastel on dark toothed paper: hatched, rubbed and broken by the grain."""
    rng = canvas.rng
    bend, tone, hue = canvas.field(1.8, 2), canvas.field(2.2, 3), canvas.field(1.7, 2)
    shape = (canvas.height, canvas.width)
    tooth = canvas.noise(190, 2, 0.8) + 0.35 * canvas.noise(130, 1, stretch=3.0)
    ground = np.broadcast_to(oklab(["#241d44"]), (*shape, 3)).copy()
    ground[..., 0] += 0.02 * tooth
    chalks = [
        "#1a1f5c",
        "#3f4cc0",
        "#8a8cf0",
        "#cf8ee0",
        "#f2668c",
        "#f6965a",
        "#fbd87c",
        "#fff6de",
    ]
    cool = ["#1f4f5e", "#2f8f8a", "#7cc7a4", "#d3e8b4"]

    def flow(x: Array, y: Array) -> Array:
        return np.float32(-0.9) + np.float32(0.8) * bend(x, y)

    for number, (spacing, size, length, grip) in enumerate(
        ((0.034, 0.050, 0.16, 0.9), (0.024, 0.022, 0.12, 0.45), (0.024, 0.011, 0.09, 0.1))
    ):
        points = canvas.scatter(spacing, 1.2, margin=0.05)
        n = len(points)
        x, y = points.T
        color = ramp(chalks, 0.46 + 0.62 * tone(x, y) + rng.normal(0, 0.15, n))
        green = hue(x, y) + rng.normal(0, 0.2, n) > 0.45
        color = np.where(
            green[:, None], ramp(cool, 0.5 + 0.35 * tone(x, y) + rng.normal(0, 0.15, n)), color
        )
        layer = Paint(np.full((*shape, 3), -9.0, np.float32), np.zeros(shape, np.float32))
        lay(
            canvas,
            layer,
            trace(points, (length * rng.uniform(0.6, 1.2, n)).astype(np.float32), flow),
            (size * rng.uniform(0.6, 1.3, n)).astype(np.float32),
            color.astype(np.float32),
            Brush(bristles=14, ragged=0.9, dry=0.5, round=0.25, body=0.2),
            thickness=1.0,
            streak=0.02,
        )
        laid = layer.color[..., 0] > -5
        # chalk catches on the tops of the paper's grain; pressure reaches further down
        caught = smoothstep(-0.6, 0.5, tooth + np.float32(grip) + 0.8 * (layer.height - 0.45))
        if number == 0:
            # the first layer is rubbed into the paper with a finger
            caught = 0.75 + 0.25 * caught
        cover = (laid * caught * 0.92)[..., None]
        ground = ground * (1 - cover) + np.where(laid[..., None], layer.color, 0) * cover
    dust = 0.010 * canvas.noise(170, 2)
    ground[..., 0] += dust
    return shade(srgb(ground), canvas.light(0.0009 * tooth, 0.0005), 0.14, 0.0)


def ikat(canvas: Canvas) -> Array:
    """Silk ikat: lozenges of madder, indigo and saffron whose edges feather along the warp."""
    rng = canvas.rng
    x, y = canvas.grid()
    pitch = np.float32(0.0030)
    thread = np.floor(x / pitch).astype(np.int32)
    # bundles of warp threads slip together when the dyed warp is put on the loom, threads alone too
    count = int(canvas.extent[0] / pitch) + 2
    bundle = np.repeat(rng.normal(0, 0.011, count // 6 + 1), 6)[:count]
    slip = (bundle + rng.normal(0, 0.0065, count)).astype(np.float32)
    sway = canvas.field(3.0, 2)
    wx = x + 0.010 * sway(x, y * 0.5)
    wy = y + slip[thread] + 0.016 * sway(x + 5, y)

    # columns of medallions, mirrored about their axis; no two rows alike
    wide, tall = np.float32(0.26), np.float32(0.33)
    column = np.floor(wx / wide).astype(np.int32)
    u = np.abs(wx / wide - column - 0.5) * 2
    shifted = wy / tall + 0.5 * (column % 2)
    row = np.floor(shifted).astype(np.int32)
    v = np.abs(shifted - row - 0.5) * 2
    cell = (column * 7919 + row * 104729) & 1023
    kind = rng.integers(0, 3, 1024)[cell]
    sharp = rng.uniform(0.7, 1.15, 1024).astype(np.float32)[cell]
    hook = 0.13 * np.sin(np.float32(np.pi) * 5 * v) * (1 - v)
    lozenge = u * sharp + v * 0.95 + np.where(kind == 0, hook, 0)
    flower = np.hypot(u, v * 1.05) * (1 + 0.20 * np.cos(6 * np.arctan2(v, u + 1e-3)))
    comb = np.maximum(u * 1.05, v) + 0.16 * (np.abs((v * 4) % 1 - 0.5) * 2) * (u > 0.2)
    level = np.where(kind == 1, flower, np.where(kind == 2, comb, lozenge))
    dyes = oklab(
        ["#f6ead0", "#a3132f", "#172a6e", "#e9a21f", "#f6ead0", "#d6402f", "#123f5c", "#1b1430"]
    )
    order = np.stack([rng.permutation(len(dyes)) for _ in range(1024)])
    ring = np.clip((level * 7.0).astype(np.int32), 0, 7)
    color = dyes[order[cell, ring]]
    # the dye runs a little under the resist, and each thread took it differently
    bleed = blur(color, 0.0016 * canvas.unit)
    color = 0.55 * color + 0.45 * bleed
    streak = rng.normal(0, 1, count).astype(np.float32)[thread]
    color[..., 0] += 0.032 * streak + 0.05 * canvas.noise(24, 3, stretch=0.15) * 0.5
    color[..., 1:] *= (1 + 0.05 * streak)[..., None]
    weft = (y / np.float32(0.0052)) % 1
    across = (x / pitch) % 1
    height = 0.0010 * np.sin(np.pi * across) + 0.0008 * np.abs(np.sin(np.pi * weft))
    slub = canvas.noise(90, 2, stretch=4.0)
    moire = 0.06 * canvas.noise(5, 3, stretch=0.4)
    slope = canvas.light(height + 0.0005 * slub, 0.0004) * 1.1 + moire
    return shade(srgb(color) * (1 + 0.02 * slub[..., None]), slope, 0.42, 0.10)


def batik(canvas: Canvas) -> Array:
    """Wax-resist batik: flowers and dotted lines in cream on brown and indigo, veined by cracks."""
    rng = canvas.rng
    x, y = canvas.grid()
    warp, sway = canvas.field(3.5, 2), canvas.field(1.9, 2)
    wobble = canvas.noise(55, 2)
    wx = x + 0.018 * warp(x, y) + 0.0009 * wobble
    wy = y + 0.018 * warp(x + 4, y + 6) + 0.0009 * wobble
    # stems: level lines of a slow field, drawn as a line of wax between two rows of dots
    level = sway(wx, wy) * np.float32(0.30) + np.float32(0.35) * wx + np.float32(0.2) * wy
    pitch = np.float32(0.075)
    stem = np.abs(level / pitch - np.round(level / pitch)) * pitch
    fill = np.floor(level / pitch - 0.5).astype(np.int32)
    scale = np.hypot(
        *(np.gradient(level, axis=a) if level.shape[a] > 1 else 0 * level for a in (0, 1))
    ) * np.float32(canvas.unit)
    stem = stem / np.maximum(scale, 0.12)

    cell, edge, centres = canvas.cells(wx, wy, 0.150)
    radius = rng.uniform(0.040, 0.074, len(centres)).astype(np.float32)[cell]
    petals = rng.choice([5, 6, 8, 10, 12], len(centres))[cell]
    turn = rng.uniform(0, 2 * np.pi, len(centres)).astype(np.float32)[cell]
    dx, dy = wx - centres[cell, 0], wy - centres[cell, 1]
    far = np.hypot(dx, dy)
    angle = np.arctan2(dy, dx) + turn
    lobe = np.abs(np.cos(angle * petals / 2))
    rim = np.minimum(radius, edge + 0.7 * far) * (0.66 + 0.34 * np.sqrt(lobe))
    inner = far / rim
    bloom = inner < 1

    cream, indigo, brown, gold, rose, teal = oklab(
        ["#f3e6cb", "#16265c", "#52281a", "#d8a04a", "#b23a52", "#1f6a6c"]
    )

    def wax(width: Array | float, distance: Array) -> Array:
        return smoothstep(0.0007, -0.0007, distance - width)

    def put(color: Array, tint: Array, cover: Array) -> Array:
        return color + (tint - color) * cover[..., None]

    ground = np.where((fill % 3 == 0)[..., None], teal, indigo)
    ground = np.where((fill % 3 == 1)[..., None], brown, ground)
    color = ground.astype(np.float32)
    # filling: dots on a slanted lattice here, fine hatching there
    p, q = (x + y) / np.float32(0.0165), (x - y) / np.float32(0.0165)
    dot = np.hypot((p + 0.10 * wobble) % 1 - 0.5, (q + 0.10 * wobble) % 1 - 0.5) * 0.0117
    color = put(color, cream, wax(0.0023, dot) * (fill % 2 == 0))
    hatch = np.abs((level / np.float32(0.0105)) % 1 - 0.5) * np.float32(0.0105)
    hatch = hatch / np.maximum(scale, 0.12)
    color = put(color, gold, 0.85 * wax(0.0011, hatch) * (fill % 2 != 0))
    # leaves stand in pairs along the stem
    beat = np.abs(((wx - wy) / np.float32(0.0150)) % 1 - 0.5) * 2
    leaf = beat / 0.52 + ((stem - 0.0125) / 0.0085) ** 2
    color = put(color, cream, smoothstep(1.08, 0.92, leaf))
    color = put(color, brown, 0.8 * smoothstep(0.16, 0.06, beat) * (leaf < 0.8))
    color = put(color, cream, wax(0.0026, stem))
    # flowers: petals with veins, an eye, a ring of dots
    petal = np.where((rng.random(len(centres)) < 0.4)[cell][..., None], rose, cream)
    petal = np.where((rng.random(len(centres)) < 0.3)[cell][..., None], gold, petal)
    color = put(color, indigo, wax(0.0, far - rim - 0.0065))
    color = put(color, petal, wax(0.0, far - rim))
    vein = np.abs(np.sin(angle * petals)) * far / np.maximum(petals, 1)
    color = put(color, brown, 0.9 * wax(0.0011, vein) * bloom * (inner > 0.42))
    rings = np.abs((far / np.float32(0.0115)) % 1 - 0.5) * np.float32(0.0115)
    color = put(color, brown, 0.75 * wax(0.0008, rings) * bloom * (inner > 0.5))
    spokes = np.abs(np.sin(angle * 9)) * far / 9
    color = put(color, indigo, smoothstep(0.42, 0.38, inner))
    color = put(color, cream, wax(0.0024, np.hypot(spokes, far - 0.30 * rim)) * (inner < 0.42))
    color = put(color, gold, smoothstep(0.17, 0.14, inner))

    # wax breaks where the cloth was folded, and dye runs into the cracks
    _, wide, _ = canvas.cells(wx + 0.02 * warp(y, x), wy, 0.062)
    force = canvas.noise(4, 3)
    fine = np.abs(canvas.noise(30, 3, 0.8)) * 0.010
    crack = wax(0.0005 + 0.0009 * smoothstep(-0.6, 1.6, force), wide)
    crack = np.maximum(crack, 0.7 * smoothstep(0.0, 1.4, force) * smoothstep(0.0011, 0.0003, fine))
    light = smoothstep(0.35, 0.8, color[..., 0])
    color = put(color, indigo, 0.85 * crack * light)
    color = put(color, cream, 0.30 * crack * (1 - light))
    dye = canvas.noise(7, 4, 0.7)
    color[..., 0] += 0.030 * dye * (1.2 - light) + 0.014 * canvas.noise(110, 2)
    cloth = canvas.noise(170, 2, stretch=3.0)
    return srgb(color) * (1 + 0.025 * cloth[..., None])
