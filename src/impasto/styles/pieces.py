"""Pictures put together from pieces: leaded glass, tesserae, facets."""

import numpy as np

from impasto.styles.canvas import Array, Canvas, Labels, blur, oklab, ramp, shade, smoothstep, srgb
from impasto.styles.strokes import Brush, Paint, lay, trace


def stained_glass(canvas: Canvas) -> Array:
    """Jewel-coloured panes in lead, streaked and seeded with bubbles, the sun behind them."""
    rng = canvas.rng
    x, y = canvas.grid()
    warp = canvas.field(2.6, 2)
    wx, wy = x + 0.035 * warp(x, y), y + 0.035 * warp(x + 9, y + 5)
    large, edge, _ = canvas.cells(wx, wy, 0.21)
    small, seam, centres = canvas.cells(wx, wy, 0.068)

    families = [
        ["#08145c", "#1238a6", "#2f74d8", "#86bdf0"],
        ["#6a0718", "#b3122a", "#e0402f", "#f58a5a"],
        ["#0c4a3a", "#128a5c", "#4fbf6d", "#b5e08a"],
        ["#a35a06", "#e59a12", "#f9cb3b", "#fff0a8"],
        ["#3a0d5e", "#6f23a0", "#a95bd0", "#dba6ea"],
        ["#064a5c", "#0c8196", "#3fbcc0", "#a8e6da"],
    ]
    stops = np.stack([ramp(f, np.linspace(0, 1, 16)) for f in families])
    share = np.array([0.27, 0.2, 0.12, 0.18, 0.1, 0.13])
    kind = rng.choice(len(families), large.max() + 1, p=share)
    stray = rng.choice(len(families), len(centres), p=share)
    family = np.where(rng.random(len(centres))[small] < 0.2, stray[small], kind[large])
    tint = rng.normal(0.45, 0.17, len(centres)).astype(np.float32)

    # drawn glass: streaks along one direction per pane, wavering
    turn = rng.uniform(0, np.pi, len(centres)).astype(np.float32)[small]
    along, off = np.cos(turn) * x + np.sin(turn) * y, np.cos(turn) * y - np.sin(turn) * x
    waver = canvas.noise(14, 3)
    streaks = canvas.field(26, 2, 0.8)(along * 0.13, off + 0.006 * waver)
    cloud = canvas.noise(9, 4, 0.6)
    level = tint[small] + 0.24 * streaks + 0.10 * cloud
    level += 0.22 * smoothstep(0.0, 0.035, seam) - 0.06
    position = np.clip(level, 0, 1) * 15
    low = np.minimum(position.astype(np.int32), 14)
    part = (position - low)[..., None]
    color = stops[family, low] * (1 - part) + stops[family, low + 1] * part

    came = np.maximum(0.0062 - edge, 0.0031 - seam)
    solder = 0.0012 * canvas.noise(60, 3)
    lead = smoothstep(-0.0008, 0.0008, came + solder * 0.5)
    glass = srgb(color)
    seeds = smoothstep(2.0, 2.5, canvas.noise(85, 2))
    ripple = canvas.light(0.0022 * cloud + 0.0010 * waver + 0.0007 * streaks + 0.001 * seeds)
    glass = shade(glass, ripple * 1.6, 0.30, 0.30)
    shadow = smoothstep(0.0, 0.008, -came)
    glass = glass * (0.45 + 0.55 * shadow)[..., None]
    # light spills round the leads of bright panes
    spill = blur(glass * (1 - lead)[..., None], 0.006 * canvas.unit)
    metal = (
        np.array([0.115, 0.115, 0.13], np.float32) * (1 + 0.22 * canvas.noise(120, 2))[..., None]
    )
    dome = np.sqrt(np.clip(came, 0, 0.005) / 0.005) * 0.004 + 0.35 * solder
    metal = shade(np.clip(metal, 0.02, 1), canvas.light(dome) * 0.9, 0.6, 0.30) + 0.18 * spill
    return glass * (1 - lead)[..., None] + metal * lead[..., None]


def mosaic(canvas: Canvas) -> Array:
    """Tesserae of gold, lapis and marble set in circling rows."""
    rng = canvas.rng
    x, y = canvas.grid()
    wobble = canvas.field(11, 2)
    wx, wy = x + 0.0035 * wobble(x, y), y + 0.0035 * wobble(x + 5, y + 5)
    centres = np.concatenate([canvas.scatter(0.21, 1.0, 0.15), canvas.scatter(0.24, 1.0, 0.1)])
    radius = rng.uniform(0.10, 0.24, len(centres)).astype(np.float32)
    radius = np.sort(radius)[::-1]
    disc = np.zeros(x.shape, np.int32)
    away = np.hypot(wx - centres[0, 0], wy - centres[0, 1])
    rim = np.full(x.shape, 0.5, np.float32)
    for k, ((cx, cy), r) in enumerate(zip(centres, radius, strict=True)):
        columns = slice(*np.searchsorted(canvas.x[0], [cx - r - 0.02, cx + r + 0.02]))
        rows = slice(*np.searchsorted(canvas.y[:, 0], [cy - r - 0.02, cy + r + 0.02]))
        if columns.start == columns.stop or rows.start == rows.stop:
            continue
        box = (rows, columns)
        distance = np.hypot(wx[box] - cx, wy[box] - cy)
        inside = distance < r
        # where a disc covers an older one, the older rim is cut along it
        rim[box] = np.where(inside, r - distance, np.minimum(rim[box], distance - r))
        disc[box] = np.where(inside, k, disc[box])
        away[box] = np.where(inside, distance, away[box])

    pitch = rng.uniform(0.0125, 0.0175, len(centres)).astype(np.float32)[disc]
    ring = np.floor(away / pitch)
    density = rng.uniform(0.8, 1.1, len(centres)).astype(np.float32)[disc]
    count = np.maximum(np.round(np.float32(2 * np.pi) * (ring + 0.5) * density), 1)
    angle = np.arctan2(wy - centres[disc, 1], wx - centres[disc, 0]) / (2 * np.pi)
    seat = (angle + 0.5 + ring * 0.381966) * count
    place = np.floor(seat)
    across = np.abs(away / pitch - ring - 0.5)
    along = np.abs(seat - place - 0.5)
    table = rng.random((4, 1 << 16), np.float32)
    code = (
        disc * 7919
        + ring.astype(np.int32) * 104729
        + np.mod(place, count).astype(np.int32) * 1299709
    ) & 0xFFFF

    def jitter(k: int) -> Array:
        return table[k][code]

    # rounded squares: a high-order norm
    body = ((across / 0.5) ** 5 + (along / 0.5) ** 5) ** 0.2
    gap = np.minimum((1 - body) * 0.5 * pitch, rim)
    grout = smoothstep(0.0006, 0.0016, gap - 0.0009 * jitter(3))

    palettes = [
        ["#0b1f66", "#1c49a8", "#3f86d6", "#9cc8ea"],
        ["#7a4a0c", "#c48a1d", "#eec24a", "#fff0b0"],
        ["#0d4f52", "#1c8a86", "#62c2ae", "#c5e8d0"],
        ["#6b1620", "#b1332c", "#dd6d45", "#f2b489"],
        ["#8d8471", "#c9bfa6", "#e8e0cb", "#fbf7ea"],
        ["#1f2530", "#3c4658", "#707f92", "#aeb9c2"],
    ]
    stops = np.stack([ramp(p, np.linspace(0, 1, 16)) for p in palettes])
    # rows of one disc go through a sequence of two or three materials
    order = np.stack(
        [rng.choice(6, 3, replace=False, p=[0.26, 0.24, 0.17, 0.13, 0.14, 0.06]) for _ in centres]
    )
    band = rng.integers(2, 5, len(centres))[disc]
    turn = (np.floor(ring / band).astype(np.int32)) % 3
    kind = order[disc, turn]
    kind = np.where(jitter(0) > 0.95, order[disc, (turn + 1) % 3], kind)
    tone = np.clip(0.5 + 0.55 * (jitter(1) - 0.5) + 0.16 * canvas.noise(5, 2), 0, 1)
    color = stops[kind, (tone * 15).astype(np.int32)]
    color[..., 0] += 0.018 * canvas.noise(90, 3)
    stone = srgb(color)
    # every tessera is set at its own tilt and catches the light differently
    tilt = (jitter(2) - 0.5) * 1.5
    height = 0.004 * np.sqrt(np.clip(gap / 0.0035, 0, 1)) + 0.00045 * canvas.noise(45, 3)
    slope = canvas.light(height) * 1.1
    stone = shade(stone, slope + tilt * 0.55, 0.42, 0.0)
    gold = (kind == 1)[..., None] * smoothstep(0.1, 0.8, tilt + 0.25 * canvas.noise(50, 2))[
        ..., None
    ]
    stone = stone + gold * np.array([0.22, 0.19, 0.10], np.float32)
    mortar = np.array([0.33, 0.29, 0.25], np.float32) * (1 + 0.16 * canvas.noise(140, 2))[..., None]
    return mortar * (1 - grout)[..., None] + stone * grout[..., None]


def facets(canvas: Canvas) -> Array:
    """Cubist facets: planes that turn from light to dark, brushed along their own directions."""
    rng = canvas.rng
    depth = 8
    width, height = canvas.extent
    normals = rng.uniform(0, np.pi, 1 << depth)
    # a few directions dominate, as in the analytic canvases of 1910
    normals = np.round(normals / (np.pi / 5)) * (np.pi / 5) + rng.normal(0, 0.12, 1 << depth)
    normal = np.stack([np.cos(normals), np.sin(normals)], -1).astype(np.float32)
    through = np.zeros(1 << depth, np.float32)
    probe = (rng.random((6000, 2)) * [width, height]).astype(np.float32)
    node = np.ones(len(probe), np.int32)
    for level in range(depth):
        value = (probe * normal[node]).sum(-1)
        for k in range(1 << level, 2 << level):
            mine = value[node == k]
            if len(mine):
                through[k] = np.quantile(mine, rng.uniform(0.34, 0.66))
        node = 2 * node + (value > through[node])

    def locate(x: Array, y: Array) -> tuple[Labels, Array]:
        leaf = np.ones(np.broadcast_shapes(x.shape, y.shape), np.int32)
        edge = np.full(leaf.shape, 9.0, np.float32)
        for _ in range(depth):
            value = x * normal[leaf, 0] + y * normal[leaf, 1] - through[leaf]
            edge = np.minimum(edge, np.abs(value))
            leaf = 2 * leaf + (value > 0)
        return leaf - (1 << depth), edge

    leaves = 1 << depth
    sums = np.stack([np.bincount(node - leaves, probe[:, k], leaves) for k in (0, 1)], -1)
    middle = sums / np.maximum(np.bincount(node - leaves, minlength=leaves), 1)[:, None]
    earth = ["#1c2a2f", "#3d4c4a", "#6f7660", "#a38f5f", "#cba66a", "#e8cf9e", "#f5ead0"]
    accents = ["#23466b", "#5b88a8", "#b4532d", "#d98a4a", "#35594a"]
    tone = canvas.field(1.8, 2)
    base = 0.5 + 0.22 * tone(*middle.T.astype(np.float32)) + rng.normal(0, 0.12, leaves)
    accent = rng.random(leaves) < 0.36
    tint = rng.random(leaves)
    brush_angle = rng.uniform(0, np.pi, leaves).astype(np.float32)
    fall = rng.uniform(0, 2 * np.pi, leaves)

    def flow(x: Array, y: Array) -> Array:
        return brush_angle[locate(x, y)[0]]

    shape = (canvas.height, canvas.width)
    paint = Paint(
        np.broadcast_to(oklab(["#6b6350"]), (*shape, 3)).copy(), np.zeros(shape, np.float32)
    )
    for spacing, size, length in ((0.020, 0.026, 0.07), (0.0125, 0.0125, 0.042)):
        points = canvas.scatter(spacing, 1.2, margin=0.03)
        leaf, _ = locate(*points.T)
        order = np.argsort(rng.permutation(leaves)[leaf], kind="stable")
        points, leaf = points[order], leaf[order]
        n = len(points)
        offset = points - middle[leaf]
        slope = (offset[:, 0] * np.cos(fall[leaf]) + offset[:, 1] * np.sin(fall[leaf])) / 0.055
        light = np.clip(slope, -1.5, 1.5) * 0.27
        color = ramp(earth, base[leaf] + light + rng.normal(0, 0.035, n))
        warm = ramp(accents, tint[leaf])
        warm[:, 0] += 0.35 * light + rng.normal(0, 0.02, n)
        color = np.where(accent[leaf][:, None], warm, color).astype(np.float32)
        # strokes stay inside their plane: shorter beside its edges
        room = np.clip(locate(*points.T)[1] / 0.018, 0.35, 1.0)
        paths = trace(points, (length * room * rng.uniform(0.7, 1.1, n)).astype(np.float32), flow)
        second = color + rng.normal(0.03, 0.03, (n, 1)).astype(np.float32) * np.array(
            [1, 0, 0], np.float32
        )
        lay(
            canvas,
            paint,
            paths,
            (size * room * rng.uniform(0.8, 1.2, n)).astype(np.float32),
            color,
            Brush(bristles=9, ragged=0.5, dry=0.3, round=0.15, body=0.3),
            thickness=0.003,
            streak=0.028,
            second=second.astype(np.float32),
        )
    x, y = canvas.grid()
    shiver = 0.0016 * canvas.noise(30, 3)
    _, edge = locate(x + shiver, y + shiver)
    pressure = np.clip(0.6 + 0.5 * canvas.noise(7, 2), 0, 1)
    line = smoothstep(-0.0026, -0.0010, -edge) * pressure
    paint.color[..., 0] *= 1 - 0.72 * line
    paint.color[..., 1:] *= 1 - 0.5 * line[..., None]
    weave = canvas.noise(160, 2) * 0.02
    return shade(
        srgb(paint.color) * (1 + weave[..., None]), canvas.light(paint.height) * 1.2, 0.38, 0.10
    )
