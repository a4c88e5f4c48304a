"""Whether the controls keep what they promise: regions, previews and the strength dial.

    python benchmarks/controls.py [regions] [preview] [strength] [--size 256]

`regions`: two regions with a painting each, against runs with one painting each; the style distance
inside each mask must not be much larger. `preview`: a picture of 256 px, what `impasto continue`
makes of it at 1024 px, with its defaults (`continue`) and held to the small one (`held`:
`--anchor-above 256`), and the same settings begun anew at 1024 px (`anew`). Shrunk, each must be
the same style as the small one; at its own size it must not lose the painting's. `strength`: how
much of the way from the photo to the painting the dial goes. Style distances are relative errors of
Gram matrices, `|G − A| / |A|` as Frobenius norms, as a mean over the first layers of VGG19's five
blocks, within a mask where there is one.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from impasto.color import srgb_to_oklab
from impasto.errors import ImpastoError
from impasto.features import Features
from impasto.images import Bitmap
from impasto.moments import moments_of
from impasto.options import make_options
from impasto.reproduction import from_settings
from impasto.run import Picture, Stylization, stylization
from impasto.sources import read_source
from impasto.targets import level_size, resize, spread
from record import RESULTS, describe_run, write_json

LAYERS = [f"relu{block}_1" for block in range(1, 6)]
PAIRS = [
    ("sample:coffee", "style:night-sky", "style:mosaic"),
    ("sample:cat", "style:harvest", "style:stained-glass"),
    ("sample:rocket", "style:watercolor", "style:linocut"),
]


def tensor(source: Any, width: int = 0, height: int = 0) -> Tensor:
    """A picture `(1, 3, H, W)`, at a size if one is given."""
    picture = torch.from_numpy(read_source(source, 10**9).pixels.copy())[None]
    return resize(picture, height, width).clamp(0, 1) if width else picture


def finish(run: Stylization, name: str) -> Picture:
    """The result of a run, whose evaluations are counted on standard error."""
    for progress in run:
        print(f"\r{name} {progress.done}", end="", file=sys.stderr)
    return run.result


def painted(
    photo: str, styles: Sequence[str], masks: Sequence[Bitmap] = (), **values: Any
) -> Tensor:
    """The result of a run, `(1, 3, H, W)`."""
    run = stylization(photo, list(styles), make_options(values), masks=list(masks))
    return torch.from_numpy(finish(run, " ".join(styles)).bitmap.pixels)[None]


def grams(features: Features, picture: Tensor, mask: Tensor | None = None) -> dict[str, Tensor]:
    """Gram matrices per position of each layer, within a mask."""
    weights = {} if mask is None else spread(mask, LAYERS, features)
    found = features.extract(picture, LAYERS)
    return {name: moments_of(found[name], weights.get(name)).gram for name in LAYERS}


def distance(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> float:
    """The mean relative error over layers."""
    return float(np.mean([float((ours[n] - theirs[n]).norm() / theirs[n].norm()) for n in LAYERS]))


def at_side(source: str, side: int) -> Tensor:
    """A painting at a long side."""
    picture = tensor(source)
    width, height = level_size(picture.shape[-1], picture.shape[-2], side)
    return resize(picture, height, width).clamp(0, 1)


def soft_halves(width: int, height: int) -> list[Tensor]:
    """The left and the right half, with an edge as wide as an eighth of the picture."""
    across = (torch.arange(width) + 0.5) / width - 0.5
    left = (0.5 - across * 8).clamp(0, 1).expand(height, width)
    return [left.clone(), 1 - left]


def measure_regions(features: Features, size: int) -> list[dict[str, Any]]:
    rows = []
    for photo, *styles in PAIRS:
        shape = tensor(photo).shape
        width, height = level_size(shape[-1], shape[-2], size)
        masks = soft_halves(width, height)
        bitmaps = [Bitmap(mask.expand(3, -1, -1).numpy().copy()) for mask in masks]
        both = painted(photo, styles, bitmaps, size=size)
        for style, mask in zip(styles, masks, strict=True):
            wanted = grams(features, at_side(style, size))
            alone = grams(features, painted(photo, [style], size=size), mask)
            rows.append(
                {
                    "photo": photo,
                    "style": style,
                    "regions": distance(grams(features, both, mask), wanted),
                    "single": distance(alone, wanted),
                }
            )
            rows[-1]["ratio"] = rows[-1]["regions"] / rows[-1]["single"]
    return rows


def taken_on(preview: Picture, **changes: Any) -> Tensor:
    """What `impasto continue` makes of a picture in a file, `(1, 3, H, W)`."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "preview.png"
        preview.save(path)
        run, _ = from_settings(preview.settings, changes, coarse=str(path))
    return torch.from_numpy(finish(run, "continue").bitmap.pixels)[None]


def measure_preview(features: Features, size: int) -> list[dict[str, Any]]:
    rows = []
    for photo, one, other in PAIRS:
        preview = finish(stylization(photo, [one], make_options({"size": size})), one)
        small = torch.from_numpy(preview.bitmap.pixels)[None]
        seen = grams(features, small)
        styles = distance(grams(features, painted(photo, [other], size=size)), seen)
        painting = grams(features, at_side(one, 4 * size))
        ways = {
            "continue": taken_on(preview, size=4 * size),
            "held": taken_on(preview, size=4 * size, anchor_above=size),
            "anew": painted(photo, [one], size=4 * size),
        }
        for way, large in ways.items():
            shrunk = resize(large, small.shape[-2], small.shape[-1]).clamp(0, 1)
            rows.append(
                {
                    "photo": photo,
                    "style": one,
                    "other": other,
                    "way": way,
                    "preview": distance(grams(features, shrunk), seen),
                    "styles": styles,
                    "pixels": float((shrunk - small).abs().mean()),
                    "painting": distance(grams(features, large), painting),
                }
            )
            rows[-1]["ratio"] = rows[-1]["preview"] / styles
    return rows


def measure_strength(features: Features, size: int) -> list[dict[str, Any]]:
    rows = []
    for photo, style, _ in PAIRS:
        shape = tensor(photo).shape
        width, height = level_size(shape[-1], shape[-2], size)
        plain = tensor(photo, width, height)
        steps = [0.0, 0.25, 0.5, 0.75, 1.0]
        pictures = [painted(photo, [style], size=size, strength=step) for step in steps]
        start, end = grams(features, plain), grams(features, pictures[-1])
        lab = [srgb_to_oklab(picture[0].numpy()) for picture in (plain, *pictures)]
        whole = float(np.linalg.norm(lab[-1] - lab[0], axis=0).mean())
        rows.append(
            {
                "photo": photo,
                "style": style,
                "strength": steps,
                "style_way": [
                    distance(grams(features, picture), start) / distance(end, start)
                    for picture in pictures
                ],
                "color_way": [
                    float(np.linalg.norm(one - lab[0], axis=0).mean()) / whole for one in lab[1:]
                ],
            }
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("parts", nargs="*", default=["regions", "preview", "strength"])
    parser.add_argument("--size", type=int, default=256)
    arguments = parser.parse_args()
    features = Features("vgg19", layers=LAYERS)
    measures = {
        "regions": measure_regions,
        "preview": measure_preview,
        "strength": measure_strength,
    }
    for part in arguments.parts:
        rows = measures[part](features, arguments.size)
        for row in rows:
            print(row)
        result = {"run": describe_run(), "size": arguments.size, "rows": rows}
        write_json(RESULTS / f"controls-{part}.json", result)


if __name__ == "__main__":
    try:
        main()
    except ImpastoError as error:
        sys.exit(f"controls.py: {error}")
