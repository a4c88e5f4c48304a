"""Ink on paper and lines cut out of it: linocut, engraving, ink wash, scratchboard, brushwork."""

import numpy as np

from impasto.styles.canvas import Array, Canvas, Field, blur, oklab, ramp, shade, smoothstep, srgb
from impasto.styles.strokes import Brush, Paint, lay, trace


def _gouges(canvas: Canvas, paths: Array, width: Array, brush: Brush) -> Array:
    """Coverage `(H, W)` in [0, 1] of strokes laid white on black."""
    shape = (canvas.height, canvas.width)
    paint = Paint(np.zeros((*shape, 3), np.float32), np.zeros(shape, np.float32))
    white = np.ones((len(paths), 3), np.float32)
    lay(canvas, paint, paths, width, white, brush, thickness=0.0, streak=0.0)
    return paint.color[..., 0]


def _downhill(lean: Field) -> Field:
    """Directions that fall steeply and sway with the field `lean`."""
    return lambda x, y: np.float32(1.35) + np.float32(0.95) * lean(x, y)


def linocut(canvas: Canvas) -> Array:
    """A three-block linocut: black key block over teal and vermilion, cut with a V-gouge."""
    rng = canvas.rng
    x, y = canvas.grid()
    bend, form = canvas.field(1.5, 2), canvas.field(2.3, 3)

    def flow(px: Array, py: Array) -> Array:
        return np.float32(0.5) + np.float32(2.4) * bend(px, py)

    hue = canvas.field(3.0, 2)(x, y) + 0.08 * canvas.noise(20, 2)
    paper = oklab(["#f3e7cf"])
    blocks = np.where((hue > 0.28)[..., None], oklab(["#d5482a"]), paper)
    blocks = np.where((hue < -0.12)[..., None], oklab(["#2b8c88"]), blocks)
    blocks = np.where(((hue < -0.62) | (hue > 0.72))[..., None], oklab(["#e7ae3c"]), blocks)
    mottle = canvas.noise(70, 3, 0.8)
    salt = smoothstep(1.25, 1.6, mottle + 0.6 * canvas.noise(9, 2))
    blocks = blocks * (1 - 0.55 * salt[..., None]) + paper * 0.55 * salt[..., None]
    blocks[..., 0] += 0.012 * mottle

    cut = np.zeros(x.shape, np.float32)
    for spacing, size, length, share in (
        (0.0170, 0.0088, 0.095, 0.85),
        (0.0125, 0.0044, 0.055, 0.9),
    ):
        points = canvas.scatter(spacing, 0.8, margin=0.05)
        tone = 0.36 + 0.42 * form(*points.T)
        keep = rng.random(len(points)) < share * np.clip(0.35 + 1.1 * tone, 0, 1)
        points, tone = points[keep], tone[keep]
        n = len(points)
        paths = trace(
            points,
            (length * (0.45 + 0.6 * tone) * rng.uniform(0.7, 1.2, n)).astype(np.float32),
            flow,
        )
        wide = size * np.clip(0.25 + 1.05 * tone, 0.25, 1.5) * rng.uniform(0.7, 1.2, n)
        brush = Brush(bristles=3, ragged=0.15, dry=0.0, round=1.0, body=0.5)
        cut = np.maximum(cut, _gouges(canvas, paths, wide.astype(np.float32), brush))

    cut = smoothstep(0.35, 0.65, blur(cut, 0.0007 * canvas.unit))
    # ink squeezed to the rim of each printed area is darker than its middle
    rim = np.clip(blur(cut, 0.003 * canvas.unit) * 2, 0, 1)
    key = srgb(oklab(["#15161c"])).reshape(3) * np.ones((*x.shape, 1), np.float32)
    starved = 0.085 * smoothstep(0.2, 2.0, mottle) * (1.3 - rim)
    key = key + starved[..., None] + 0.25 * smoothstep(1.9, 2.4, mottle)[..., None]
    fibre = (1 + 0.014 * canvas.noise(150, 2, stretch=4.0))[..., None]
    return (srgb(blocks) * cut[..., None] + key * (1 - cut[..., None])) * fibre


def engraving(canvas: Canvas) -> Array:
    """A copper engraving: swelling lines wrapped round folds, cross-hatched in the shadows."""
    x, y = canvas.grid()
    swell = canvas.field(1.5, 2)
    folds = swell(x, y) + 0.42 * canvas.field(4.0, 2)(x, y)
    lit = canvas.light(0.10 * folds, 0.004, 2.4)
    tone = np.clip(0.58 + 0.72 * np.tanh(1.2 * lit) + 0.06 * canvas.noise(6, 2), 0.02, 0.98)
    burr = 0.05 * canvas.noise(90, 2)

    def lines(angle: float, pitch: float, relief: float, dark: Array) -> Array:
        # the burin follows the form: its lines are contours of the tilted relief
        across = np.float32(np.cos(angle)) * x + np.float32(np.sin(angle)) * y
        phase = (across + np.float32(relief) * folds) / np.float32(pitch)
        saw = np.abs((phase % 1) - 0.5) * 2
        slope = np.hypot(
            *(np.gradient(phase, axis=a) if phase.shape[a] > 1 else 0 * phase for a in (0, 1))
        ) + np.float32(1e-4)
        wide = np.clip(dark + burr * (dark > 0.02), 0, 0.94)
        # one pixel of anti-aliasing, measured in the phase
        return np.clip((wide - saw) / (4 * slope) + 0.5, 0, 1) * (dark > 0.01)

    shadow = 1 - tone
    ink = lines(1.15, 0.0092, 0.085, np.clip(shadow * 1.05 + 0.02, 0.06, 0.82))
    cross = lines(2.35, 0.0092, -0.06, np.clip(1.4 * shadow - 0.50, 0, 0.58))
    third = lines(0.2, 0.0080, 0.03, np.clip(1.8 * shadow - 1.12, 0, 0.42))
    plate = np.maximum(ink, np.maximum(cross, third))
    fine = lines(1.15, 0.0046, 0.085, np.clip(0.36 - 0.42 * shadow, 0, 0.25))
    hue = canvas.field(1.2, 2)(x, y)
    colors = ramp(["#5c0f1e", "#33163a", "#10275c", "#07424a"], 0.5 + 0.6 * hue)
    pressure = np.clip(0.93 + 0.06 * canvas.noise(50, 3), 0, 1)
    tinted = ramp(
        ["#f3cf94", "#f3e0bc", "#e6e4cc", "#bfdcc8"], 0.5 + 0.6 * hue + 0.08 * canvas.noise(8, 4)
    )
    tinted[..., 0] += 0.012 * canvas.noise(110, 3) - 0.05 * smoothstep(0.2, 0.9, shadow)
    paper = srgb(tinted)
    paper = paper * (1 - 0.06 * smoothstep(1.7, 2.2, canvas.noise(60, 2)))[..., None]
    warm = srgb(oklab(["#a8442a"])).reshape(3)
    paper = paper * (1 - 0.55 * fine[..., None]) + warm * 0.55 * fine[..., None]
    plate = (plate * pressure)[..., None]
    return paper * (1 - plate) + srgb(colors) * plate


def ink_wash(canvas: Canvas) -> Array:
    """Mountains in mist, in brushed ink on warm paper, with texture strokes and a breath of red."""
    rng = canvas.rng
    _, y = canvas.grid()
    width, height = canvas.extent
    rough = canvas.noise(60, 4, 0.8)
    cloud = canvas.noise(5, 5, 0.6)
    density = 0.05 + 0.035 * cloud + 0.05 * smoothstep(0.4, 1.8, canvas.noise(3, 3))
    ridges = 7
    span = np.linspace(-0.1, width + 0.1, 700, dtype=np.float32)
    brush = Brush(bristles=16, ragged=1.0, dry=0.75, round=0.45, body=0.3)
    for k in range(ridges):
        near = (k + 1) / ridges
        base = height * (-0.02 + 0.92 * k / (ridges - 1))
        steep = canvas.field(2.4, 5, 0.55)
        crest = base - 0.10 * steep(span, np.full_like(span, 3.0 * k)) - 0.02
        line = np.interp(canvas.x[0], span, crest).astype(np.float32)[None, :]
        depth = y - line + 0.0022 * rough
        body = smoothstep(-0.0015, 0.0035, depth)
        # the wash is darkest under the crest and dissolves downwards into mist
        fade = np.exp(-np.maximum(depth, 0) / np.float32(0.13))
        mist = 1 - 0.86 * body * (1 - 0.1 * near)
        amount = (0.30 + 0.75 * near) * fade * (0.85 + 0.30 * cloud + 0.12 * rough)
        edge = 0.5 * near * np.exp(-np.abs(depth - 0.003) / 0.0035)
        density = density * (1 - body) + body * (
            density * mist * 0.35 + np.clip(amount, 0, 3) + edge + 0.05
        )

        # texture strokes run down the slopes from the crest, dry, in split bristles
        for number, size, length, dark in ((130, 0.020, 0.13, 0.34), (420, 0.0085, 0.07, 0.62)):
            n = int(number * width)
            px = rng.uniform(-0.05, width + 0.05, n).astype(np.float32)
            drop = (rng.exponential(0.055, n)).astype(np.float32)
            py = np.interp(px, span, crest).astype(np.float32) + drop + np.float32(0.4 * length)
            points = np.stack([px, py], -1)
            reach = (length * rng.uniform(0.5, 1.3, n)).astype(np.float32)
            paths = trace(points, reach, _downhill(canvas.field(3.0, 2)))
            wide = (size * rng.uniform(0.4, 1.2, n)).astype(np.float32)
            mark = _gouges(canvas, paths, wide, brush)
            density += body * mark * np.float32(dark * (0.35 + 0.75 * near)) * (0.8 + 0.25 * rough)
    grain = 1 + 0.18 * np.tanh(rough) * smoothstep(0.05, 0.9, density)
    density = np.clip(density * grain, 0, None)
    spots = smoothstep(2.25, 2.45, canvas.noise(38, 1))
    density += 0.7 * spots
    red = smoothstep(0.75, 1.7, canvas.noise(3.2, 3)) * 0.5 + smoothstep(2.2, 2.4, canvas.noise(30))
    blue = smoothstep(0.3, 1.6, canvas.noise(2.2, 3))
    absorb = np.array([0.98, 1.0, 1.0], np.float32) + blue[..., None] * np.array(
        [0.22, 0.02, -0.16], np.float32
    )
    flush = red[..., None] * np.array([0.12, 0.85, 0.95], np.float32) * 0.8
    fibre = canvas.noise(90, 3, stretch=6.0) * 0.012 + canvas.noise(70, 2) * 0.010
    paper = np.array([0.945, 0.905, 0.825], np.float32) * (1 + fibre[..., None])
    return paper * np.exp(-1.15 * density[..., None] * absorb - flush)


def scratchboard(canvas: Canvas) -> Array:
    """Black scratchboard: fine hatching that lays bare copper, gold and sea-green foil."""
    rng = canvas.rng
    x, y = canvas.grid()
    form, detail = canvas.field(2.3, 2), canvas.field(5.5, 2)

    def relief(px: Array, py: Array) -> Array:
        return form(px, py) + np.float32(0.32) * detail(px, py)

    def slope(px: Array, py: Array) -> tuple[Array, Array]:
        e = np.float32(0.006)
        dx = relief(px + e, py) - relief(px - e, py)
        dy = relief(px, py + e) - relief(px, py - e)
        return dx / (2 * e), dy / (2 * e)

    shadow = canvas.field(3.0, 2)

    def tone(px: Array, py: Array) -> Array:
        # forms glow at the side of the light and again, faintly, at the far edge
        dx, dy = slope(px, py)
        lit = np.float32(0.09) * (dx + dy)
        glow = 0.44 + 0.56 * np.tanh(1.2 * lit) + 0.30 * smoothstep(0.9, 2.0, -lit)
        return np.clip(glow, 0.02, 1) * (0.85 + 0.25 * shadow(px, py))

    def around(turn: float) -> Field:
        # scratches bend round the form, at a fixed angle to its fall line
        def flow(px: Array, py: Array) -> Array:
            dx, dy = slope(px, py)
            return np.arctan2(dy, dx) * 0.5 + np.float32(turn)

        return flow

    bare = np.zeros(x.shape, np.float32)
    for spacing, size, length, turn, low, high in (
        (0.0082, 0.0031, 0.058, 1.45, -0.35, 0.75),
        (0.0082, 0.0024, 0.038, 0.35, 0.20, 1.15),
        (0.0072, 0.0019, 0.022, 2.55, 0.45, 1.25),
    ):
        points = canvas.scatter(spacing, 1.0, margin=0.03)
        n = len(points)
        here = tone(*points.T)
        keep = rng.random(n) < smoothstep(low, high, here) * 0.95
        wide = size * rng.uniform(0.6, 1.25, n)
        reach = length * rng.uniform(0.5, 1.2, n) * (0.5 + 0.6 * here)
        paths = trace(points[keep], reach[keep].astype(np.float32), around(turn))
        brush = Brush(bristles=3, ragged=0.5, dry=0.25, round=0.9, body=0.5)
        mark = _gouges(canvas, paths, wide[keep].astype(np.float32), brush)
        bare = np.maximum(bare, mark)
    hue = canvas.field(1.9, 2)(x, y) + 0.10 * canvas.noise(30, 2)
    foil = ramp(
        ["#1fb5a2", "#8fe0c0", "#f7efc8", "#ffd35c", "#f58a3c", "#e2467a", "#8d6be0"],
        0.5 + 0.5 * hue,
    )
    foil[..., 0] += 0.035 * canvas.noise(75, 3)
    board = ramp(["#08090c", "#14161f", "#23232d"], 0.35 + 0.12 * canvas.noise(60, 3, 0.8))
    # dust of the scraping lies beside the scratches
    dust = 0.10 * blur(bare, 0.0035 * canvas.unit) * smoothstep(-0.5, 1.5, canvas.noise(120, 2))
    bare = np.clip(1.15 * blur(bare, 0.0004 * canvas.unit), 0, 1)[..., None]
    return (srgb(board) + dust[..., None]) * (1 - bare) + srgb(foil) * bare


def brushwork(canvas: Canvas) -> Array:
    """Gestures of a wide brush in black, vermilion, indigo and gold on gilded paper."""
    rng = canvas.rng
    bend, tone = canvas.field(1.5, 2), canvas.field(1.7, 2)
    shape = (canvas.height, canvas.width)
    fibre = canvas.noise(110, 3, stretch=7.0) + 0.6 * canvas.noise(60, 3)
    ground = ramp(["#d9b678", "#eedcae", "#f8f0d8"], 0.55 + 0.16 * canvas.noise(3, 4, 0.6))
    ground[..., 0] += 0.016 * fibre
    paint = Paint(ground, np.zeros(shape, np.float32))
    inks = ["#121318", "#c8281c", "#1d2f72", "#d99a22", "#121318", "#f6efe0", "#0f6a68"]
    for spacing, width, length, variants, share in (
        (0.170, 0.125, 0.75, 6, [0.22, 0.24, 0.2, 0.12, 0.04, 0.08, 0.1]),
        (0.115, 0.050, 0.50, 8, [0.25, 0.22, 0.12, 0.14, 0.05, 0.12, 0.1]),
        (0.090, 0.020, 0.26, 16, [0.26, 0.18, 0.1, 0.18, 0.06, 0.14, 0.08]),
        (0.075, 0.0065, 0.17, 24, [0.30, 0.15, 0.1, 0.15, 0.05, 0.2, 0.05]),
    ):
        points = canvas.scatter(spacing, 1.5, margin=0.08)
        n = len(points)
        color = oklab(inks)[rng.choice(len(inks), n, p=share)]
        color[:, 0] += rng.normal(0, 0.02, n) + 0.04 * tone(*points.T)
        angle = rng.normal(0.0, 0.55, n) + np.where(rng.random(n) < 0.3, 1.3, -0.35)
        angle = angle.astype(np.float32)

        def flow(px: Array, py: Array, angle: Array = angle) -> Array:
            return angle + np.float32(1.5) * bend(px, py)

        reach = (length * rng.uniform(0.45, 1.15, n)).astype(np.float32)
        lay(
            canvas,
            paint,
            trace(points, reach, flow, 15),
            (width * rng.uniform(0.5, 1.15, n)).astype(np.float32),
            color.astype(np.float32),
            Brush(
                bristles=max(5, round(520 * width)),
                ragged=0.95,
                dry=0.8,
                round=0.08,
                body=0.15,
                variants=variants,
            ),
            thickness=0.0035,
            streak=0.03,
            second=(color + np.array([0.05, 0.005, 0.01], np.float32)).astype(np.float32),
            opacity=0.94,
        )
    # flung ink
    points = canvas.scatter(0.022, 1.5)
    n = len(points)
    size = 0.0028 * np.exp(rng.normal(0, 0.65, n)) * (rng.random(n) < 0.7)
    color = oklab(inks)[rng.choice(len(inks), n, p=[0.4, 0.2, 0.05, 0.15, 0.1, 0.05, 0.05])]
    lay(
        canvas,
        paint,
        trace(points, (1.4 * size).astype(np.float32), lambda px, _: px * np.float32(40)),
        size.astype(np.float32),
        color,
        Brush(bristles=3, ragged=0.2, dry=0.0, round=1.0, body=1.0),
        thickness=0.002,
        streak=0.0,
    )
    slope = canvas.light(paint.height + 0.0005 * fibre, 0.0006) * 1.1
    out = srgb(paint.color) * (1 + 0.012 * fibre[..., None])
    return shade(out, slope, 0.42, 0.10)
