"""Ornament: whiplash lines, fans of gold, shapes cut out of painted paper."""

import numpy as np

from impasto.styles.canvas import Array, Canvas, oklab, ramp, shade, smoothstep, srgb


def art_nouveau(canvas: Canvas) -> Array:
    """Whiplash lines: tresses of green, rose and plum that curl together, edged in gold."""
    rng = canvas.rng
    x, y = canvas.grid()
    bend, sway = canvas.field(1.4, 2), canvas.field(3.2)
    u = x + 0.09 * bend(x, y)
    v = y + 0.09 * bend(x + 6, y + 3)
    # curls wind the coordinates up, most of all at their hearts
    for cx, cy in canvas.scatter(0.24, 0.9, 0.1):
        dx, dy = u - np.float32(cx), v - np.float32(cy)
        far = np.hypot(dx, dy) + np.float32(1e-6)
        size = np.float32(rng.uniform(0.045, 0.085))
        turn = np.float32(rng.choice([-1, 1]) * rng.uniform(3.6, 6.0)) * np.exp(-far / size)
        c, s = np.cos(turn), np.sin(turn)
        u, v = np.float32(cx) + c * dx - s * dy, np.float32(cy) + s * dx + c * dy
    level = np.float32(1.1) * v + np.float32(0.25) * u + 0.06 * sway(u, v)
    scale = np.hypot(
        *(np.gradient(level, axis=a) if level.shape[a] > 1 else 0 * level for a in (0, 1))
    ) * np.float32(canvas.unit)
    scale = np.clip(scale, 0.25, None)

    def stripes(thin: float, thick: float, power: float) -> tuple[np.ndarray, Array, Array, Array]:
        """Stripes of uneven width: number, distance to the nearer edge, width, place across."""
        width = thin + (thick - thin) * rng.random(2400) ** power
        edges = (np.cumsum(width) - 1.0).astype(np.float32)
        number = np.clip(np.searchsorted(edges, level), 1, len(edges) - 1).astype(np.int32)
        wide = width[number].astype(np.float32)
        part = np.clip((level - edges[number - 1]) / wide, 0, 1)
        return number, np.minimum(part, 1 - part) * wide / scale, wide / scale, part

    tress, rim, wide, part = stripes(0.020, 0.090, 1.4)
    strand, hair, _, _ = stripes(0.0022, 0.0080, 1.0)
    families = [
        ["#1e3a1c", "#4f7a2e", "#a2b85a", "#e8e8a8"],
        ["#7a1c34", "#cf4f62", "#f2a08e", "#fde4c8"],
        ["#240e3a", "#56287a", "#9a6ab8", "#dcc0e2"],
        ["#a04a14", "#e08a34", "#f6c878", "#fdf2d0"],
        ["#06363e", "#14767c", "#6fbcae", "#d6eed8"],
    ]
    stops = np.stack([ramp(f, np.linspace(0, 1, 24)) for f in families])
    kind = rng.choice(len(families), 2400, p=[0.22, 0.24, 0.18, 0.16, 0.20])[tress]
    own = rng.normal(0, 0.13, 2400).astype(np.float32)[tress]
    each = rng.normal(0, 0.14, 2400).astype(np.float32)[strand]
    wash = canvas.noise(6, 4, 0.6)
    round_ = 0.44 * np.sin(np.float32(np.pi) * part)
    shown = np.clip(0.28 + round_ + own + each + 0.07 * wash, 0, 1)
    color = stops[kind, np.round(shown * 23).astype(np.int32)]
    pen = np.clip(0.75 + 0.35 * canvas.noise(9, 2), 0.25, 1.3)
    fine = smoothstep(0.0011, 0.0003, hair) * smoothstep(-0.8, 1.0, canvas.noise(4, 2))
    color[..., 0] -= 0.20 * fine
    grain = canvas.noise(110, 3, 0.7)
    color[..., 0] += 0.012 * grain
    paint = srgb(color)
    # where tresses are drawn out thin, so is the line
    weight = np.minimum(0.0040 * pen, 0.15 * wide)
    line = weight - rim
    dark = smoothstep(-0.0006, 0.0006, line + 0.55 * weight)[..., None]
    gold = smoothstep(-0.0006, 0.0006, line)[..., None]
    ink = srgb(oklab(["#24101c"])).reshape(3)
    leaf = ramp(["#6a400c", "#b5832a", "#e9c566", "#fff0bd"], 0.55 + 0.15 * canvas.noise(40, 3))
    dome = 0.004 * np.sqrt(np.clip(line / 0.0040, 0, 1)) + 0.0005 * grain
    metal = shade(srgb(leaf), canvas.light(dome, 0.0005) * 1.2, 0.5, 0.25)
    out = paint * (1 - dark) + ink * dark
    return out * (1 - gold) + metal * gold


def deco_fans(canvas: Canvas) -> Array:
    """Fans of brass, ivory, teal and black lacquer in scales, each rayed and ringed its own way."""
    rng = canvas.rng
    x, y = canvas.grid()
    bend = canvas.field(1.2)
    wx, wy = x + 0.020 * bend(x, y), y + 0.020 * bend(x + 4, y + 8)
    radius = np.float32(0.118)
    rise = radius * np.float32(0.5)
    # fans stand in rows, each row half a fan aside and in front of the row above
    inside = np.zeros(x.shape, bool)
    far, angle = np.zeros(x.shape, np.float32), np.zeros(x.shape, np.float32)
    fan = np.zeros(x.shape, np.int32)
    lowest = np.floor(wy / rise).astype(np.int32) + 2
    for step in (0, -1, -2):
        row = lowest + step
        foot_y = row.astype(np.float32) * rise
        shift = 0.5 * (row % 2).astype(np.float32)
        column = np.round(wx / (2 * radius) - shift)
        foot_x = (column + shift) * 2 * radius
        dx, dy = wx - foot_x, foot_y - wy
        distance = np.hypot(dx, dy)
        mine = (distance < radius) & (dy >= 0) & ~inside
        far = np.where(mine, distance, far)
        angle = np.where(mine, np.arctan2(dx, dy), angle)
        code = (row * 7919 + column.astype(np.int32) * 104729) & 1023
        fan = np.where(mine, code, fan)
        inside |= mine
    rings = rng.integers(3, 7, 1024)[fan].astype(np.float32)
    rays = rng.integers(5, 12, 1024)[fan].astype(np.float32)
    place = far / radius * rings
    ring = np.floor(place).astype(np.int32)
    part = place - ring
    ray = angle / np.float32(np.pi / 2) * rays
    spoke = np.abs(ray - np.round(ray)) / rays * np.float32(np.pi / 2) * far
    sector = np.floor(ray).astype(np.int32)
    materials = [
        ["#5a3a0e", "#a8782a", "#e2bc62", "#fff2c4"],
        ["#07090c", "#12161c", "#262d36", "#48535e"],
        ["#04272c", "#0c5a5f", "#2a9a92", "#a5dccb"],
        ["#a8987a", "#d8cba8", "#f2e9d2", "#fffaf0"],
        ["#3a0a14", "#7d1626", "#bd3a3c", "#ee9a80"],
    ]
    stops = np.stack([ramp(m, np.linspace(0, 1, 24)) for m in materials])
    share = [0.28, 0.27, 0.2, 0.13, 0.12]
    one = rng.choice(len(materials), (1024, 8), p=share)[fan, np.minimum(ring, 7)]
    two = rng.choice(len(materials), (1024, 8), p=share)[fan, np.minimum(ring, 7)]
    rayed = (rng.random((1024, 8)) < 0.6)[fan, np.minimum(ring, 7)]
    kind = np.where(rayed & (sector % 2 == 0), two, one)
    # metal is brushed round the foot of the fan, lacquer is mottled
    brushed = canvas.field(1.0, 3, 0.8)(far * 260, angle * 5 + fan.astype(np.float32) % 37)
    cloud, grit = canvas.noise(16, 4, 0.7), canvas.noise(120, 2)
    sheen = 0.5 + 0.24 * np.cos(5 * angle + 4 * (rng.random(1024).astype(np.float32)[fan]))
    metal = (kind == 0) | (kind == 3)
    tone = np.where(
        metal, sheen + 0.16 * brushed, 0.42 + 0.30 * part + 0.10 * brushed + 0.08 * cloud
    )
    tone = tone + rng.normal(0, 0.06, 1024).astype(np.float32)[fan]
    color = stops[kind, np.round(np.clip(tone, 0, 1) * 23).astype(np.int32)]
    color[..., 0] += 0.012 * grit
    body = srgb(color)
    # fine fillets of brass between rings, along rays and round the whole fan
    edge = radius - far
    gap = np.minimum(np.minimum(part, 1 - part) / rings * radius - 0.0011, edge - 0.0040)
    gap = np.where(rayed, np.minimum(gap, spoke - 0.0009), gap)
    fillet = smoothstep(0.0006, -0.0006, gap + 0.0003 * cloud)[..., None]
    height = 0.0030 * np.clip(-gap / 0.003, -1, 1) + 0.0005 * grit + 0.0012 * cloud
    height = height + 0.02 * np.sqrt(np.clip(edge / radius, 0, 1))
    slope = canvas.light(height, 0.0007)
    brass = ramp(["#7a5214", "#cfa03c", "#f6da86", "#fffbe0"], 0.5 + 0.14 * cloud + 0.1 * grit)
    body = body * (0.62 + 0.38 * smoothstep(0.0, 0.012, edge))[..., None]
    out = body * (1 - fillet) + srgb(brass) * fillet
    return shade(out, slope * 0.9, 0.45, 0.22)


def _cutout(u: Array, v: Array, shape: str, lobes: int, curl: np.floating) -> Array:
    """Distance from the edge of a shape of radius 1, about; positive inside."""
    v = v + curl * u * u * np.float32(0.45)
    if shape == "frond":  # rounded fingers on both sides of a stalk
        finger = np.abs(np.sin(u * np.float32(0.9 * lobes + 1))) ** 0.7
        half = (0.06 + 0.58 * finger * np.sqrt(np.clip(1 - u * u, 0, 1))) * (1 - 0.3 * u)
        return np.minimum(half - np.abs(v), 1 - np.abs(u))
    lobe = np.abs(np.cos(np.arctan2(v, u) * np.float32(lobes / 2)))
    reach = 0.42 + 0.55 * lobe**0.8 if shape == "leaf" else 0.34 + 0.62 * lobe**2.6
    return reach - np.hypot(u, v)


def paper_cut(canvas: Canvas) -> Array:
    """Leaves, fronds and stars scissored from gouache-painted paper, pinned over one another."""
    rng = canvas.rng
    x, y = canvas.grid()
    colors = [
        "#1d3fb4",
        "#f6f1e4",
        "#e8402c",
        "#f8bf24",
        "#0f8a63",
        "#17171f",
        "#f29ab0",
        "#6fc3dc",
    ]
    lab = oklab(colors)
    # every sheet was painted with a broad brush along its own direction
    along = [canvas.noise(44, 3, 0.7, stretch=9.0), canvas.noise(44, 3, 0.7, stretch=0.11)]
    patchy, grit = canvas.noise(8, 3), canvas.noise(130, 2)

    def sheet(kind: int, way: int, box: tuple[slice, slice], shift: float) -> Array:
        tone = 0.032 * along[way][box] + 0.030 * patchy[box] + 0.010 * grit[box] + shift
        out = np.repeat(np.repeat(lab[kind][None, None], tone.shape[0], 0), tone.shape[1], 1)
        out[..., 0] += tone
        out[..., 1:] *= (1 - 0.6 * tone)[..., None]
        return out.astype(np.float32)

    everywhere = (slice(None), slice(None))
    # the wall is papered with rectangles
    block, edge, centres = canvas.cells(x, y, 0.24)
    picture = np.zeros((*x.shape, 3), np.float32)
    height = np.zeros(x.shape, np.float32)
    grounds = rng.integers(0, len(lab), len(centres))[block]
    for kind in range(len(lab)):
        on = grounds == kind
        if on.any():
            picture = np.where(on[..., None], sheet(kind, kind % 2, everywhere, 0.0), picture)
    height += 0.0012 * np.clip(edge / 0.002, 0, 1)
    jag = 0.0016 * canvas.noise(30, 2)
    for spacing, low, high in ((0.200, 0.095, 0.150), (0.120, 0.045, 0.080), (0.085, 0.017, 0.034)):
        for cx, cy in canvas.scatter(spacing, 1.2, 0.06):
            size = np.float32(rng.uniform(low, high))
            shape = str(rng.choice(["frond", "leaf", "star"], p=[0.55, 0.25, 0.2]))
            turn = rng.uniform(0, 2 * np.pi)
            kind, way = int(rng.integers(0, len(lab))), int(rng.integers(0, 2))
            lobes = int(rng.integers(4, 9))
            curl, shift = np.float32(rng.normal(0, 0.5)), float(rng.normal(0, 0.03))
            reach = float(size) * 1.15 + 0.012
            columns = slice(*np.searchsorted(canvas.x[0], [cx - reach, cx + reach]))
            rows = slice(*np.searchsorted(canvas.y[:, 0], [cy - reach, cy + reach]))
            if columns.start == columns.stop or rows.start == rows.stop:
                continue
            box = (rows, columns)
            c, s = np.float32(np.cos(turn)), np.float32(np.sin(turn))

            dx, dy = x[box] - np.float32(cx), y[box] - np.float32(cy)
            u, v = (c * dx + s * dy) / size, (c * dy - s * dx) / size
            inside = size * _cutout(u, v, shape, lobes, curl) + jag[box]
            # the light falls from the upper left
            shift_x, shift_y = np.float32(0.0040) / size, np.float32(0.0055) / size
            u, v = u - (c * shift_x + s * shift_y), v - (c * shift_y - s * shift_x)
            cast = size * _cutout(u, v, shape, lobes, curl) + jag[box]
            shadow = 0.16 * smoothstep(-0.005, 0.004, cast)
            cut = smoothstep(-0.0008, 0.0008, inside)
            below = picture[box]
            below[..., 0] *= 1 - shadow
            picture[box] = below + (sheet(kind, way, box, shift) - below) * cut[..., None]
            height[box] = height[box] * (1 - cut) + cut * 0.0022 * np.clip(inside / 0.0016, 0, 1)
    brushed = 0.0003 * (along[0] + along[1]) + 0.0004 * grit
    return shade(srgb(picture), canvas.light(height + brushed, 0.0006) * 0.9, 0.40, 0.0)
