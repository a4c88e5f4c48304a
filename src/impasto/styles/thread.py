"""Fibres and dry colour: embroidery and pastel."""

import numpy as np

from impasto.styles.canvas import Array, Canvas, oklab, ramp, shade, smoothstep, srgb
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
    ground = np.broadcast_to(oklab(["#3b3160"]), (*shape, 3)).copy()
    ground[..., 0] += 0.02 * tooth
    chalks = [
        "#27306e",
        "#4c5fc0",
        "#8f9ce6",
        "#d7a6dc",
        "#f0839c",
        "#f4a06c",
        "#f8d98a",
        "#fbf3dc",
    ]
    cool = ["#1f4f5e", "#2f8f8a", "#7cc7a4", "#d3e8b4"]

    def flow(x: Array, y: Array) -> Array:
        return np.float32(-0.9) + np.float32(0.8) * bend(x, y)

    for number, (spacing, size, length, grip) in enumerate(
        ((0.030, 0.050, 0.16, 1.35), (0.021, 0.022, 0.12, 0.6), (0.021, 0.011, 0.09, 0.1))
    ):
        points = canvas.scatter(spacing, 1.2, margin=0.05)
        n = len(points)
        x, y = points.T
        color = ramp(chalks, 0.50 + 0.48 * tone(x, y) + rng.normal(0, 0.10, n))
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
