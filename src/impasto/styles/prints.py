"""Colour prints: woodblock waves and stencil printing in halftone dots."""

import numpy as np

from impasto.styles.canvas import Array, Canvas, blur, oklab, ramp, smoothstep, srgb


def waves(canvas: Canvas) -> Array:
    """Breaking waves in a colour woodcut: striped Prussian blues, clawed foam, a peach sky."""
    rng = canvas.rng
    x, y = canvas.grid()
    height = canvas.extent[1]
    grain = canvas.noise(70, 3, 0.7, stretch=9.0)
    baren = canvas.noise(26, 4, 0.8)
    tide = y / np.float32(height)
    sky = ramp(["#e9a87c", "#f3cf9f", "#f5e7c6", "#dfe4d0"], tide + 0.10 * canvas.noise(3, 3))
    out = srgb(sky)
    ink = srgb(oklab(["#10203f"])).reshape(3)
    foam = srgb(oklab(["#f8f4e6"])).reshape(3)
    shadow = srgb(oklab(["#b9d3d6"])).reshape(3)
    blues = np.stack(
        [
            srgb(ramp(["#16335f", "#2d5f94", "#7fb0c4", "#e6ecdd"], np.linspace(0, 1, 12))),
            srgb(ramp(["#0e2747", "#1f4a80", "#4d93b0", "#c9e0d6"], np.linspace(0, 1, 12))),
            srgb(ramp(["#123c4f", "#27757f", "#74b6a8", "#e9ead0"], np.linspace(0, 1, 12))),
        ]
    )
    wobble = 0.0018 * canvas.noise(60, 2)
    comb, spots = canvas.noise(24, 2), smoothstep(0.2, 0.5, canvas.noise(60, 1))
    drops = smoothstep(1.5, 1.7, canvas.noise(85, 1))
    rows = max(3, round(8 * height))
    for k in range(rows):
        near = (k + 1) / rows
        swell, chop = canvas.field(1.6), canvas.field(4.5, 2)
        lean = np.float32(rng.choice([-1, 1]) * rng.uniform(0.35, 0.85))
        table = rng.permutation(np.tile([1, 4, 7, 2, 9, 5, 0, 11], 4))
        colors = blues[rng.integers(0, len(blues))]
        base = np.float32(height * (k + 0.35) / rows)
        # what lies further down is covered by the waves in front
        top, bottom = np.searchsorted(canvas.y[:, 0], [base - 0.24, base + 2.2 * height / rows])
        box = slice(top, bottom if k < rows - 1 else canvas.height)
        if box.start >= box.stop:
            continue
        px, py, claw = x[box], y[box], comb[box]
        # crests lean over to one side: the profile is read at a place shifted by its height
        u = px + lean * np.clip(base - py, -0.03, 0.13) ** 2 * 9 + np.float32(3.7 * k)
        rise = np.clip(0.5 + 0.6 * swell(u, np.full_like(u, 2.0 * k)), 0, 1.3)
        peak = (1 - np.abs(chop(u, np.full_like(u, 5.0 + k)))).clip(0, 1) ** 2
        crest = base - np.float32(0.15) * rise * (0.25 + 0.75 * peak)
        edge = py - crest + wobble[box] + np.float32(0.005) * claw
        # stripes follow the crest and widen downwards
        phase = np.log1p(np.maximum(edge, 0) / 0.016) * 5.2 + 0.30 * claw
        step = np.floor(phase)
        part = phase - step
        tint = table[np.clip(step, 0, len(table) - 1).astype(np.int32)]
        body = colors[np.clip(tint + np.round(1.5 * part), 0, 11).astype(np.int32)]

        def cover(over: Array, where: Array, under: Array) -> Array:
            return under + (over - under) * where[..., None]

        body = cover(ink, 0.85 * smoothstep(0.16, 0.05, part) * smoothstep(0.0, 0.02, edge), body)
        # fingers of foam reach down over the body
        lip = 0.012 + 0.034 * rise * peak * (0.7 + 0.3 * near)
        tongue = lip * (1.0 + 0.9 * claw) - edge
        white = cover(shadow, 0.8 * spots[box] * smoothstep(0.004, 0.012, tongue), foam)
        body = cover(white, smoothstep(-0.0010, 0.0010, tongue), body)
        body = cover(ink, 0.9 * smoothstep(0.0026, 0.0012, np.abs(tongue)), body)
        spray = drops[box] * smoothstep(-0.05, -0.01, edge) * (peak * rise > 0.25) * (edge < 0)
        behind = cover(foam, spray, out[box])
        behind = cover(body, smoothstep(-0.0009, 0.0009, edge), behind)
        out[box] = cover(ink, 0.95 * smoothstep(0.0030, 0.0016, np.abs(edge)), behind)
    print_wear = 0.10 * smoothstep(0.6, 2.2, baren) + 0.05 * smoothstep(0.2, 1.6, grain)
    paper = np.array([0.96, 0.92, 0.83], np.float32)
    out = out + (paper - out) * print_wear[..., None]
    return out * (1 + 0.030 * grain[..., None] + 0.012 * baren[..., None])


def risograph(canvas: Canvas) -> Array:
    """A stencil print in fluorescent pink, blue and yellow: coarse dots, out of register."""
    rng = canvas.rng
    x, y = canvas.grid()
    paper = np.array([0.965, 0.95, 0.915], np.float32) * (
        1 + 0.018 * canvas.noise(90, 3, 0.8)[..., None]
    )
    out = paper * np.ones((*x.shape, 1), np.float32)
    warp = canvas.field(1.3)
    wx, wy = x + 0.16 * warp(x, y), y + 0.16 * warp(x + 7, y + 3)
    for pigment, angle, pitch in (
        ("#ffe100", 0.10, 0.0165),
        ("#ff3f80", 1.31, 0.0150),
        ("#0083c0", 0.78, 0.0135),
    ):
        shift = rng.normal(0, 0.004, 2)
        px, py = wx + np.float32(shift[0]), wy + np.float32(shift[1])
        shapes, fade = canvas.field(2.3, 2), canvas.field(3.4)
        level = shapes(px, py)
        # hard-edged areas, each with a fall of tone from solid to a few dots
        area = np.floor(level * 3.2)
        fall = (level * 3.2 - area) * np.where(area % 2 == 0, 1, -1) + (area % 2 != 0)
        tone = np.clip(0.75 * fall + 0.25 * fade(px, py), 0.0, 1.0)
        tone = np.where(area % 3 == 0, 0.12 * tone, tone)
        c, s = np.float32(np.cos(angle)), np.float32(np.sin(angle))
        u, v = (c * x + s * y) / np.float32(pitch), (c * y - s * x) / np.float32(pitch)
        # Lines in one area of four, dots elsewhere; a dot of area t has radius sqrt(t / π)
        lined = (area % 4) == 1
        dot = np.sqrt(((u % 1) - 0.5) ** 2 + ((v % 1) - 0.5) ** 2)
        rule = np.abs((v % 1) - 0.5)
        screen = np.where(lined, 0.5 * tone - rule, np.sqrt(tone / np.pi) * 1.12 - dot)
        grit = canvas.noise(130, 2)
        edge = screen + 0.035 * grit
        cover = smoothstep(-0.06, 0.06, edge) * (0.90 - 0.16 * smoothstep(0.5, 2.2, grit))
        cover = cover * (0.95 + 0.06 * canvas.noise(5, 3))
        out = out * (1 - np.clip(cover, 0, 1)[..., None] * (1 - srgb(oklab([pigment])).reshape(3)))
    return blur(out, 0.0004 * canvas.unit)
