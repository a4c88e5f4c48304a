"""Oil paint: thick strokes that follow a flow, lit from the upper left."""

from collections.abc import Callable

import numpy as np

from impasto.styles.canvas import Array, Canvas, Field, Labels, oklab, ramp, shade, smoothstep, srgb
from impasto.styles.strokes import Brush, Paint, lay, trace

Layers = tuple[tuple[float, float, float, float], ...]
"""Layers from ground to top: spacing, width and length of the strokes, thickness of the paint."""


def _paint(
    canvas: Canvas,
    ground: str,
    layers: Layers,
    flow: Field,
    color: Callable[[Array, int], tuple[Array, Array]],
    brush: Brush,
    *,
    streak: float = 0.035,
    lift: float = 0.05,
    strength: float = 0.42,
    gloss: float = 0.16,
    relief: float = 1.3,
) -> Array:
    """Covers the canvas with layers of strokes.

    `color(points, layer)` gives the Oklab colour of each stroke and a factor for its length;
    `lift` is how much lighter, on average, the second colour in a stroke is than the first.
    """
    rng = canvas.rng
    shape = (canvas.height, canvas.width)
    paint = Paint(np.broadcast_to(oklab([ground]), (*shape, 3)).copy(), np.zeros(shape, np.float32))
    for number, (spacing, width, length, thickness) in enumerate(layers):
        points = canvas.scatter(spacing, 1.2, margin=0.04)
        n = len(points)
        first, reach = color(points, number)
        first = (first + rng.normal(0, 0.012, (n, 3))).astype(np.float32)
        drift = np.stack([rng.normal(lift, 0.05, n), *rng.normal(0, 0.022, (2, n))], -1)
        paths = trace(points, (length * reach * rng.uniform(0.7, 1.15, n)).astype(np.float32), flow)
        lay(
            canvas,
            paint,
            paths,
            (width * rng.uniform(0.75, 1.2, n)).astype(np.float32),
            first,
            brush,
            thickness=thickness,
            streak=streak,
            second=(first + drift).astype(np.float32),
        )
    slope = canvas.light(paint.height) * np.float32(relief)
    weave = canvas.noise(160, 2) * 0.012
    return shade(srgb(paint.color) * (1 + weave[..., None]), slope, strength, gloss)


def night_sky(canvas: Canvas) -> Array:
    """A blue night in swirling impasto, with stars in haloes of yellow strokes."""
    rng = canvas.rng
    eddies = canvas.scatter(0.34, 0.9)
    spins = rng.choice([-1.0, 1.0], len(eddies)) * rng.uniform(0.5, 1.0, len(eddies))
    stars: list[tuple[float, float, float]] = []
    for x, y in canvas.scatter(0.13, 1.0):
        size = 0.085 if not stars else rng.uniform(0.032, 0.06)
        if all(np.hypot(x - a, y - b) > 2.3 * (size + c) for a, b, c in stars):
            stars.append((float(x), float(y), float(size)))
    wander = canvas.field(2.2, 2)

    def flow(x: Array, y: Array) -> Array:
        # eddies, circles about the stars, and a drift to the right
        fx, fy = np.full_like(x, 0.30), 0.18 * np.sin(5 * x)
        for (cx, cy), spin in zip(eddies, spins, strict=True):
            dx, dy = x - cx, y - cy
            pull = spin * np.exp(-(dx * dx + dy * dy) / 0.022) * 9
            fx, fy = fx - dy * pull, fy + dx * pull
        for cx, cy, size in stars:
            dx, dy = x - cx, y - cy
            pull = np.exp(-(((dx * dx + dy * dy) / (1.8 * size) ** 2) ** 2)) * 1.6 / size
            fx, fy = fx - dy * pull, fy + dx * pull
        return np.arctan2(fy, fx) + 0.35 * wander(x, y)

    night = ["#0a1136", "#13245f", "#1f3f8f", "#2f66b3", "#5b95c9", "#a3c4d2"]
    fire = ["#b5651d", "#e39a1f", "#f6cf4a", "#fbe98f", "#fff8d8"]
    rings = ["#fff6cf", "#f7d65a", "#eba92c", "#f3dc86", "#bcd9c2", "#6fa9c4", "#2f66b3"]
    tone, hue = canvas.field(3.2, 3), canvas.field(5.0, 2)

    def color(points: Array, _: int) -> tuple[Array, Array]:
        n = len(points)
        x, y = points.T
        far = np.full(n, 9.0, np.float32)
        for cx, cy, size in stars:
            far = np.minimum(far, np.hypot(x - cx, y - cy) / size)
        sky = ramp(night, 0.42 + 0.28 * tone(x, y) + rng.normal(0, 0.17, n))
        pick = rng.random(n)
        teal = ramp(["#1d5c66", "#4fa08c", "#b8cf9a"], 0.5 + 0.3 * hue(x, y))
        sky = np.where((pick < 0.07)[:, None], teal, sky)
        sky = np.where((pick > 0.965)[:, None], ramp(fire, rng.random(n) * 0.6), sky)
        ring = ramp(rings, far / 1.9 + rng.normal(0, 0.07, n))
        halo = far + rng.normal(0, 0.16, n) < 1.75
        return np.where(halo[:, None], ring, sky), np.where(halo, 0.55, 1.0)

    layers = (
        (0.026, 0.034, 0.17, 0.003),
        (0.0165, 0.0175, 0.125, 0.004),
        (0.0155, 0.0115, 0.085, 0.004),
    )
    brush = Brush(bristles=9, ragged=0.7, dry=0.35, round=0.35, body=0.6)
    return _paint(canvas, "#101c4c", layers, flow, color, brush)


def water_garden(canvas: Canvas) -> Array:
    """A pond in loose broken dabs: greens and violets of water, pads and pink blossoms."""
    rng = canvas.rng
    bend, tone, hue = canvas.field(2.0, 2), canvas.field(2.4, 3), canvas.field(3.4, 2)
    pads = canvas.scatter(0.17, 1.1, 0.05)
    reach = rng.uniform(0.03, 0.10, len(pads))
    blossoms = canvas.scatter(0.15, 1.2)
    open_to = rng.uniform(0.012, 0.036, len(blossoms))

    def flow(x: Array, y: Array) -> Array:
        # reflections hang down, pads lie flat
        upright = smoothstep(0.0, 0.5, tone(x * 0.9 + 7, y * 0.5))
        return 0.35 * bend(x, y) + upright * np.float32(1.35)

    water = ["#16324a", "#22556a", "#3b7f86", "#7ba9a8", "#9d95c4", "#c9b8dc"]
    moss = ["#17402f", "#2f6d3d", "#5c9a4a", "#97bd5c", "#d5dc8a"]
    bloom = ["#a63d73", "#dd6f93", "#f3a9b4", "#fbe0d4", "#fff7ea"]

    def color(points: Array, layer: int) -> tuple[Array, Array]:
        n = len(points)
        x, y = points.T

        def nearest(centres: Array, sizes: np.ndarray, flat: float) -> np.ndarray:
            near = np.full(n, 9.0)
            for (cx, cy), size in zip(centres, sizes, strict=True):
                near = np.minimum(near, np.hypot((x - cx) / flat, (y - cy) * flat) / size)
            return near

        out = ramp(water, 0.44 + 0.40 * tone(x, y) + rng.normal(0, 0.11, n))
        pad = nearest(pads, reach, 1.6) + rng.normal(0, 0.12, n)
        # a pad is lit at its heart and dark where it meets the water
        sun = 0.78 - 0.62 * pad + 0.25 * hue(x, y) + rng.normal(0, 0.11, n)
        out = np.where((pad < 0.95)[:, None], ramp(moss, sun), out)
        petal = nearest(blossoms, open_to, 1.15) + rng.normal(0, 0.15, n)
        flower = (petal < 1.0) & (layer > 0)
        out = np.where(flower[:, None], ramp(bloom, 0.95 - 0.75 * petal), out)
        pick = rng.random(n)
        out = np.where((pick > 0.975)[:, None], ramp(bloom, rng.random(n)), out)
        out = np.where((pick < 0.02)[:, None], oklab(["#e8a24a"]), out)
        return out, np.where(flower, 0.45, 1.0)

    layers = (
        (0.026, 0.042, 0.130, 0.003),
        (0.0170, 0.0210, 0.075, 0.0045),
        (0.0160, 0.0125, 0.048, 0.005),
    )
    brush = Brush(bristles=7, ragged=0.9, dry=0.5, round=0.55, body=0.5)
    return _paint(canvas, "#27504f", layers, flow, color, brush, relief=1.1, gloss=0.12)


def harvest(canvas: Canvas) -> Array:
    """Sun on ripe grain: short hot strokes of ochre, orange and red over violet shadows."""
    rng = canvas.rng
    bend, tone, hue = canvas.field(1.6, 3), canvas.field(2.6, 3), canvas.field(4.0, 2)

    def flow(x: Array, y: Array) -> Array:
        return np.float32(-1.1) + 1.7 * bend(x, y)

    grain = ["#4a1f4f", "#8c2f3c", "#c9501f", "#e58a1f", "#f3b93a", "#fae08a", "#fff5cf"]
    shade_colors = ["#2b2a6b", "#5a3f94", "#2f7a78", "#7fae62"]

    def color(points: Array, _: int) -> tuple[Array, Array]:
        n = len(points)
        x, y = points.T
        sun = 0.52 + 0.33 * tone(x, y) + rng.normal(0, 0.12, n)
        out = ramp(grain, sun)
        cool = ramp(shade_colors, 0.5 + 0.35 * hue(x, y) + rng.normal(0, 0.15, n))
        dark = rng.random(n) < 0.06 + 0.55 * smoothstep(0.15, 0.8, -tone(x, y))
        return np.where(dark[:, None], cool, out), np.ones(n)

    layers = (
        (0.028, 0.036, 0.15, 0.003),
        (0.0165, 0.016, 0.105, 0.0045),
        (0.0140, 0.0085, 0.075, 0.005),
    )
    brush = Brush(bristles=7, ragged=0.8, dry=0.4, round=0.6, body=0.65)
    return _paint(canvas, "#7d2c33", layers, flow, color, brush, relief=1.2)


def pointillism(canvas: Canvas) -> Array:
    """Dots of pure colour beside their complements: a river bank in late light."""
    rng = canvas.rng
    tone, hue, bend = canvas.field(1.9, 3), canvas.field(2.7, 2), canvas.field(3.0)

    def flow(x: Array, y: Array) -> Array:
        return bend(x, y) * np.float32(1.5)

    scale = [
        "#182262",
        "#2a4fae",
        "#4f86d0",
        "#2f9a8f",
        "#7cb84e",
        "#f2d544",
        "#f3a136",
        "#e8604a",
        "#c23a7a",
        "#6a3aa0",
    ]

    def color(points: Array, _: int) -> tuple[Array, Array]:
        n = len(points)
        x, y = points.T
        place = 0.46 + 0.62 * tone(x, y)
        lightness = 0.13 * hue(x, y)
        pick = rng.random(n)
        spread = rng.normal(0, 0.055, n)
        # every area holds some dots of its complement, as in Chevreul's simultaneous contrast
        opposite = np.where(place > 0.5, place - 0.5, place + 0.5)
        out = ramp(scale, np.where(pick < 0.2, opposite, place) + spread)
        out = np.where((pick > 0.955)[:, None], oklab(["#fff4d6"]), out)
        out[:, 0] += lightness + rng.normal(0, 0.03, n)
        return out, np.ones(n)

    layers = (
        (0.0150, 0.0220, 0.025, 0.002),
        (0.0125, 0.0145, 0.0160, 0.0032),
        (0.0120, 0.0100, 0.0112, 0.0032),
    )
    brush = Brush(bristles=4, ragged=0.2, dry=0.05, round=1.0, body=0.9)
    return _paint(
        canvas,
        "#e9dcc0",
        layers,
        flow,
        color,
        brush,
        streak=0.012,
        lift=0.02,
        strength=0.3,
        gloss=0.08,
    )


def palette_knife(canvas: Canvas) -> Array:
    """Slabs of paint pulled with a knife: coral and cream over turquoise and navy."""
    rng = canvas.rng
    turn, tone, hue = canvas.field(1.4), canvas.field(2.0, 3), canvas.field(3.1, 2)
    shape = (canvas.height, canvas.width)
    paint = Paint(
        np.broadcast_to(oklab(["#1c3050"]), (*shape, 3)).copy(), np.zeros(shape, np.float32)
    )
    sea = ["#0e1c3a", "#134a68", "#1d8a94", "#5cc4bb", "#c4e6d6", "#fdf5e2"]
    fire = ["#4d1030", "#a81e3c", "#e8503f", "#f78f5c", "#fbc98a", "#fff3dc"]
    for spacing, width, length, thickness in (
        (0.060, 0.120, 0.22, 0.004),
        (0.050, 0.078, 0.135, 0.006),
        (0.050, 0.040, 0.085, 0.008),
    ):
        points = canvas.scatter(spacing, 1.4, margin=0.08)
        n = len(points)
        x, y = points.T

        def pick(shift: float, x: Array = x, y: Array = y, n: int = n) -> Array:
            level = 0.5 + 0.42 * tone(x, y) + rng.normal(shift, 0.16, n)
            warm = hue(x, y) + rng.normal(0, 0.30, n) > 0.12
            return np.where(warm[:, None], ramp(fire, level), ramp(sea, level))

        # the knife is drawn straight, most often along a diagonal or across it
        color, mixed = pick(0.0), pick(0.05)
        mixed = np.where((rng.random(n) < 0.7)[:, None], 0.75 * color + 0.25 * mixed, mixed)
        angle = 0.7 * turn(x, y) + rng.choice([-0.8, 0.75], n, p=[0.6, 0.4]) + rng.normal(0, 0.2, n)
        angle = angle.astype(np.float32)
        paths = trace(
            points,
            (length * rng.uniform(0.5, 1.2, n)).astype(np.float32),
            lambda _x, _y, angle=angle: angle,
        )
        lay(
            canvas,
            paint,
            paths,
            (width * rng.uniform(0.5, 1.2, n)).astype(np.float32),
            color.astype(np.float32),
            # paint of another colour under the blade comes out in streaks
            Brush(bristles=12, ragged=0.6, dry=0.3, round=0.03, body=0.06),
            thickness=thickness,
            streak=0.022,
            second=mixed.astype(np.float32),
        )
    slope = canvas.light(paint.height, 0.0009) * 1.5
    weave = canvas.noise(160, 2) * 0.010
    return shade(srgb(paint.color) * (1 + weave[..., None]), slope, 0.5, 0.22)


def birch_wood(canvas: Canvas) -> Array:
    """Birches in autumn: white trunks with black scars among dabs of gold and crimson leaves."""
    rng = canvas.rng
    width, height = canvas.extent
    tone, hue, turn = canvas.field(2.4, 3), canvas.field(4.2, 2), canvas.field(14, 2)
    scar, fork = canvas.field(30, 2), canvas.field(90)
    count = max(2, round(11 * width))
    stem = (np.arange(count) + 0.5 + rng.uniform(-0.42, 0.42, count)) * (width / count)
    thick = rng.choice([0.011, 0.019, 0.031], count, p=[0.4, 0.35, 0.25]) * rng.uniform(
        0.8, 1.2, count
    )
    lean, bow = rng.normal(0, 0.055, count), rng.uniform(0.004, 0.016, count)
    wave = rng.uniform(0, 2 * np.pi, count)

    def trunk(x: Array, y: Array) -> tuple[Array, Labels]:
        """Place across the nearest trunk, -1 to 1 inside it, and the trunk's number."""
        place, number = np.full(len(x), 9.0, np.float32), np.zeros(len(x), np.int32)
        for k in range(count):
            axis = stem[k] + lean[k] * (y - height / 2) + bow[k] * np.sin(4 * y + wave[k])
            off = (x - axis) / (thick[k] * (0.8 + 0.4 * y / height))
            closer = np.abs(off) < np.maximum(np.abs(place), 1e-6)
            place, number = np.where(closer, off, place), np.where(closer, k, number)
        return place, number

    leaves = ["#3a1030", "#7d1530", "#c2301f", "#e86a17", "#f5a51c", "#fcd04c", "#fff0a0"]
    depths = ["#14142c", "#2a2050", "#3d3f7a", "#5f78a8", "#8fb0b8"]
    bark = ["#56526a", "#8d8ea6", "#cfd0d4", "#f4f0e4", "#fffdf6", "#f3e3c4", "#a99aa2"]

    def flow(x: Array, y: Array) -> Array:
        place = np.abs(trunk(x, y)[0])
        return np.where(place < 1, np.float32(0.12), np.float32(2.2) * turn(x, y))

    def color(points: Array, layer: int) -> tuple[Array, Array]:
        n = len(points)
        x, y = points.T
        place, number = trunk(x, y)
        inside = np.abs(place) < 1
        glow = 0.52 + 0.30 * tone(x, y) + rng.normal(0, 0.15, n)
        out = ramp(leaves, glow)
        gap = rng.random(n) < 0.10 + 0.55 * smoothstep(0.2, 0.9, -tone(x * 1.3 + 4, y))
        out = np.where(gap[:, None], ramp(depths, 0.45 + 0.3 * hue(x, y) + 0.1 * glow), out)
        # light comes from the left; bark peels in rings and carries dark scars
        body = ramp(bark, 0.55 - 0.40 * place + rng.normal(0, 0.07, n))
        mark = scar(x * 0.4 + 7 * number, y) + 0.5 * fork(x, y) > 0.62
        body = np.where(mark[:, None], oklab(["#1b1720"]), body)
        # leaves hang before the trunks here and there
        before = (layer == 2) & (rng.random(n) < 0.10 + 0.3 * smoothstep(0.1, 0.7, hue(x, y)))
        inside &= ~before
        return np.where(inside[:, None], body, out), np.where(inside, 0.55, 1.0)

    layers = (
        (0.024, 0.030, 0.060, 0.003),
        (0.0125, 0.0135, 0.030, 0.0042),
        (0.0115, 0.0090, 0.021, 0.0048),
    )
    brush = Brush(bristles=6, ragged=0.6, dry=0.3, round=0.5, body=0.6)
    return _paint(canvas, "#4a2038", layers, flow, color, brush, relief=1.2, lift=0.03)


def aurora(canvas: Canvas) -> Array:
    """Northern lights: curtains of green and magenta rays, drawn upwards through a starry black."""
    rng = canvas.rng
    height = canvas.extent[1]
    rays, drift = canvas.field(34, 2, 0.8), canvas.field(2.4, 2)
    curtains = max(3, round(5 * height))
    folds = [canvas.field(1.9, 3, 0.6) for _ in range(curtains)]
    base = (np.arange(curtains) + 0.75 + rng.uniform(-0.2, 0.2, curtains)) * (height / curtains)
    reach = rng.uniform(0.11, 0.22, curtains)

    def flow(x: Array, y: Array) -> Array:
        return np.float32(1.57) + np.float32(0.42) * drift(x, y)

    sky = ["#05060f", "#0a0f2a", "#141c4a", "#232a66"]
    glow = ["#f2ffd0", "#9ff59a", "#35d98a", "#129a8c", "#3f55b8", "#8a3fb0", "#e0509a", "#4a1c5c"]

    def color(points: Array, _: int) -> tuple[Array, Array]:
        n = len(points)
        x, y = points.T
        out = ramp(sky, 0.4 + 0.35 * drift(x + 5, y) + rng.normal(0, 0.12, n))
        best = np.zeros(n, np.float32)
        for k in range(curtains):
            edge = base[k] + 0.17 * folds[k](x, np.full_like(x, 3.0 * k))
            rise = (edge - y + rng.normal(0, 0.008, n)) / reach[k]
            strength = np.where(rise < 0, np.exp(12 * np.minimum(rise, 0)), np.exp(-0.75 * rise))
            strength *= np.clip(0.75 + 0.75 * rays(x + 0.15 * y, np.full_like(x, 2.0 + k)), 0, 1.3)
            lit = ramp(glow, np.clip(rise, 0, 1.5) / 1.5 + rng.normal(0, 0.05, n))
            part = np.clip(strength + rng.normal(0, 0.07, n), 0, 1)[:, None]
            wins = strength > best
            out = np.where(wins[:, None], out * (1 - part) + lit * part, out)
            best = np.maximum(best, strength)
        star = (rng.random(n) < 0.022) & (best < 0.4)
        out = np.where(star[:, None], oklab(["#fff6dc"]), out)
        return out, np.where(star, 0.12, 1.0)

    layers = (
        (0.024, 0.026, 0.17, 0.002),
        (0.0150, 0.0120, 0.12, 0.0028),
        (0.0140, 0.0062, 0.085, 0.003),
    )
    brush = Brush(bristles=8, ragged=0.95, dry=0.6, round=0.6, body=0.4)
    return _paint(
        canvas, "#070a1c", layers, flow, color, brush, streak=0.03, strength=0.32, gloss=0.10
    )
