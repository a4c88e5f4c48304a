"""Stone, fire and glaze: agate, lava, mended pottery."""

import numpy as np

from impasto.styles.canvas import Array, Canvas, blur, oklab, ramp, shade, smoothstep, srgb


def agate(canvas: Canvas) -> Array:
    """Polished agates: hair-fine bands of amethyst, sea blue and rust round hearts of crystal."""
    rng = canvas.rng
    x, y = canvas.grid()
    broad, fine = canvas.field(2.6, 2), canvas.field(10, 2)
    wx = x + 0.050 * broad(x, y) + 0.006 * fine(x, y)
    wy = y + 0.050 * broad(x + 7, y + 3) + 0.006 * fine(x + 5, y + 8)
    hearts = canvas.scatter(0.34, 0.9, 0.2)
    size = rng.uniform(0.6, 1.5, len(hearts)).astype(np.float32)
    away = np.full(x.shape, 9.0, np.float32)
    stone = np.zeros(x.shape, np.int32)
    for k, ((cx, cy), r) in enumerate(zip(hearts, size, strict=True)):
        distance = np.hypot(wx - cx, wy - cy) / r
        stone = np.where(distance < away, k, stone)
        away = np.minimum(away, distance)

    # one growth sequence of layers, thin and thick, which every stone reads from its own place on
    thick = 0.0016 + 0.011 * rng.random(400) ** 3
    edges = np.cumsum(thick).astype(np.float32)
    begin = rng.uniform(0.0, 0.6 * edges[-1], len(hearts)).astype(np.float32)
    level = np.clip(begin[stone] + away, 0, edges[-2])
    layer = np.searchsorted(edges, level).astype(np.int32)
    low = np.concatenate([[0], edges])[layer].astype(np.float32)
    part = (level - low) / thick[layer].astype(np.float32)
    palettes = [
        ["#24103f", "#5b2a86", "#9a6cc4", "#d9c4ea", "#f7f1f5"],
        ["#0b2338", "#1d5f86", "#55a5b5", "#b6dedb", "#f6f8f0"],
        ["#3b0f0c", "#94301a", "#d97a35", "#f2c88a", "#fff5e0"],
        ["#1a2a25", "#3f6f5c", "#8fb79a", "#e3ead0", "#fbfaf0"],
        ["#3a1026", "#9c2f57", "#df8296", "#f6cfca", "#fff4ee"],
    ]
    stops = np.stack([ramp(p, np.linspace(0, 1, 24)) for p in palettes])
    kind = rng.choice(len(palettes), len(hearts), p=[0.26, 0.24, 0.26, 0.1, 0.14])
    stray = rng.integers(0, len(palettes), len(edges))
    family = np.where(rng.random(len(edges))[layer] < 0.18, stray[layer], kind[stone])
    tint = rng.beta(0.7, 0.7, len(edges)).astype(np.float32)[layer]
    cloud = canvas.noise(7, 4, 0.6)
    shown = np.clip(tint + 0.20 * (part - 0.5) + 0.08 * cloud, 0, 1)
    color = stops[family, np.round(shown * 23).astype(np.int32)]
    # the finest layers only show as light and dark lines
    color[..., 0] += 0.035 * np.sin(level * np.float32(2 * np.pi / 0.0023))
    color[..., 0] += 0.012 * canvas.noise(110, 3)

    hollow = rng.uniform(0.03, 0.085, len(hearts)).astype(np.float32)[stone]
    crystal, rim, seats = canvas.cells(x, y, 0.0155)
    hollow = hollow - 0.004 * canvas.noise(50, 2)
    inside = smoothstep(-0.003, 0.003, hollow - away)[..., None]
    tilt = rng.normal(0, 1, len(seats)).astype(np.float32)[crystal]
    druse = stops[kind[stone], np.clip(8 + 5 * tilt + 2 * cloud, 0, 23).astype(np.int32)]
    druse[..., 0] += 0.22 * smoothstep(1.1, 1.9, tilt) - 0.10 * smoothstep(0.0016, 0.0, rim)
    facets = np.tanh(rim / 0.004) * 0.004 + 0.0012 * canvas.noise(60, 2)
    bright = shade(srgb(druse), canvas.light(facets) * 1.2 + 0.3 * tilt, 0.5, 0.30)
    polish = shade(srgb(color), 0.6 * canvas.light(0.004 * cloud, 0.002), 0.15, 0.0)
    dark = smoothstep(0.006, 0.0, np.abs(away - hollow))[..., None]
    return (polish * (1 - inside) + bright * inside) * (1 - 0.5 * dark)


def lava(canvas: Canvas) -> Array:
    """Lava under a breaking crust: ropy black rock, and cracks that glow from red to white."""
    x, y = canvas.grid()
    broad, fine = canvas.field(2.2, 2), canvas.field(9, 3, 0.6)
    wx = x + 0.10 * broad(x, y) + 0.011 * fine(x, y)
    wy = y + 0.10 * broad(x + 6, y + 2) + 0.011 * fine(x + 3, y + 9)
    _, wide, _ = canvas.cells(wx, wy, 0.15)
    _, thin, _ = canvas.cells(wx, wy, 0.045, 7)
    flow = 0.55 + canvas.noise(4.4, 3)
    rough, grit = canvas.noise(36, 4, 0.7), canvas.noise(120, 2)
    molten = smoothstep(-0.7, 1.5, flow)
    # crust is carried along and folds into ropes across the stream
    stretch = canvas.field(3.0, 2)(wx, wy)
    ropes = np.sin(2 * np.pi * (9 * wy + 2.4 * stretch) + 1.4 * rough)
    glow = np.exp(-wide / (0.005 + 0.012 * molten)) + 0.6 * np.exp(
        -thin / (0.0012 + 0.004 * molten)
    )
    glow = glow * (0.60 + 0.46 * molten) + 0.45 * smoothstep(0.9, 2.3, flow + 0.3 * rough)
    glow = np.clip(glow * (1 + 0.14 * rough + 0.08 * ropes), 0, 1.05)
    heat = ["#0a090c", "#1b1216", "#4a0f12", "#9d1d0e", "#e2480c", "#fb8d17", "#ffd04a", "#fffbd8"]
    hot = ramp(heat, glow)
    hot[..., 0] += 0.012 * grit
    crust = ramp(["#0b0b10", "#1f2028", "#3c3b44", "#6d6468"], 0.36 + 0.13 * rough + 0.06 * flow)
    solid = smoothstep(0.42, 0.16, glow + 0.05 * grit)
    height = 0.0042 * ropes * solid + 0.0030 * rough + 0.0008 * grit
    height = height + 0.010 * np.clip(wide / 0.03, 0, 1) + 0.004 * np.clip(thin / 0.008, 0, 1)
    slope = canvas.light(height, 0.0009)
    rock = shade(srgb(crust), slope * 1.3, 0.62, 0.20)
    out = srgb(hot) * (1 - solid[..., None]) + rock * solid[..., None]
    out = shade(out, slope * 0.6, 0.22, 0.0)
    # fire lights the flanks of the crust above it
    fire = blur(srgb(hot) * (1 - solid)[..., None], 0.010 * canvas.unit)
    return out + 0.55 * fire * np.array([1.0, 0.62, 0.35], np.float32) * (1 - 0.5 * out)


def kintsugi(canvas: Canvas) -> Array:
    """Sherds of crackled celadon, oxblood and black glaze, mended with seams of gold."""
    rng = canvas.rng
    x, y = canvas.grid()
    warp = canvas.field(4.0, 2)
    wx, wy = x + 0.024 * warp(x, y), y + 0.024 * warp(x + 5, y + 7)
    sherd, seam, centres = canvas.cells(wx, wy, 0.165)
    _, craze, _ = canvas.cells(wx, wy, 0.034)
    glazes = [
        ["#1e4a45", "#5f9a86", "#a9cdb6", "#e3efdc"],
        ["#12364c", "#2a7590", "#7dbcc4", "#d8eee8"],
        ["#2d070b", "#7a1218", "#b8392c", "#e79a78"],
        ["#0b0a0d", "#221a18", "#5a3a22", "#b98a4c"],
        ["#a98f6c", "#dccaa6", "#f1e8d2", "#fdfaf0"],
        ["#0d1440", "#22358c", "#5a78c4", "#c4d4ec"],
    ]
    stops = np.stack([ramp(g, np.linspace(0, 1, 24)) for g in glazes])
    kind = rng.choice(len(glazes), len(centres), p=[0.26, 0.17, 0.14, 0.16, 0.16, 0.11])[sherd]
    # glaze runs down and pools: streaks along the fall, thicker towards one edge of the sherd
    turn = rng.uniform(0, 2 * np.pi, len(centres)).astype(np.float32)[sherd]
    u = np.cos(turn) * x + np.sin(turn) * y
    v = np.cos(turn) * y - np.sin(turn) * x
    rough = canvas.noise(26, 4, 0.7)
    streaks = canvas.field(38, 2, 0.7)(u, v * 0.12 + 0.02 * rough)
    pool = canvas.noise(6, 3)
    middle = np.cos(turn) * centres[sherd, 0] + np.sin(turn) * centres[sherd, 1]
    level = 0.52 + 1.6 * (v - (np.cos(turn) * centres[sherd, 1] - np.sin(turn) * centres[sherd, 0]))
    level = level + 0.20 * streaks + 0.10 * pool + 0.05 * rough
    # thrown rings, painted or incised before the glaze
    ring = np.sin((u - middle) * np.float32(2 * np.pi / 0.021) + 0.5 * rough)
    banded = (rng.random(len(centres)) < 0.45)[sherd]
    level = level - np.where(banded, 0.20 * smoothstep(0.1, 0.7, ring), 0)
    color = stops[kind, np.round(np.clip(level, 0, 1) * 23).astype(np.int32)]
    iron = smoothstep(1.7, 2.1, canvas.noise(80, 2))[..., None]
    color = color * (1 - 0.7 * iron) + oklab(["#4a2412"]) * 0.7 * iron
    strong = np.clip(0.62 + 0.35 * canvas.noise(9, 2), 0.1, 1)
    crack = strong * smoothstep(0.0014, 0.0005, craze)
    dark = (kind == 3)[..., None]
    stain = np.where(dark, oklab(["#c99a5c"]), oklab(["#2c1d14"]))
    color = color + (stain - color) * (0.8 * crack)[..., None]
    glaze = srgb(color)
    height = 0.010 * np.sqrt(np.clip(seam / 0.03, 0, 1)) + 0.0011 * rough - 0.0006 * crack
    height = height + np.where(banded, 0.0006 * ring, 0)
    glaze = shade(glaze, canvas.light(height, 0.0008) * 1.1, 0.42, 0.32)

    bead = 0.0060 * (1 + 0.35 * canvas.noise(14, 2)) - seam
    gold = smoothstep(-0.0006, 0.0006, bead)[..., None]
    leaf = ramp(["#7a4a0c", "#c98f22", "#f2cb58", "#fff3b8"], 0.5 + 0.16 * canvas.noise(70, 3))
    dome = 0.006 * np.sqrt(np.clip(bead / 0.006, 0, 1)) + 0.0006 * canvas.noise(60, 2)
    metal = shade(srgb(leaf), canvas.light(dome, 0.0006) * 1.3, 0.55, 0.35)
    shadow = smoothstep(0.0, -0.007, bead)[..., None]
    return glaze * (0.55 + 0.45 * shadow) * (1 - gold) + metal * gold
