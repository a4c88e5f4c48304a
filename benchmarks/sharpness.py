"""How well the sharpness that `impasto prepare` measures tells blurred photos from sharp ones.

    python benchmarks/sharpness.py FOLDER… [--every 2]

Measures each photo as it is, blurred (a Gaussian of 1 to 3 px at the size of measuring) or smeared
(9 px sideways, at that size), each of those saved as a JPEG of quality 85; then the variance of the
Laplacian over the whole picture, for comparison.
"""

import argparse
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter, laplace, uniform_filter1d

from impasto.errors import ImageError
from impasto.images import Bitmap, encode_image, fit_within, read_image, resize_image
from impasto.options import PrepareOptions
from impasto.prepare import MEASURE_SIDE, find_pictures, sharpness
from record import RESULTS, describe_run, write_json

PERCENTILES = (0, 1, 5, 50, 95, 99, 100)
BLURS = ("sharp", "1 px", "1.5 px", "2 px", "3 px", "smeared")


def spoilt(bitmap: Bitmap, blur: str) -> Bitmap:
    if blur == "sharp":
        return bitmap
    if blur == "smeared":
        pixels = np.asarray(uniform_filter1d(bitmap.pixels, 9, axis=2, mode="nearest"))
    else:
        sigma = float(blur.split()[0])
        pixels = np.asarray(gaussian_filter(bitmap.pixels, (0, sigma, sigma), mode="nearest"))
    soft = Bitmap(np.clip(pixels, 0, 1).astype(np.float32))
    return read_image(encode_image(soft, "jpg", quality=85))


def whole_variance(bitmap: Bitmap) -> float:
    luma = np.tensordot([0.2126, 0.7152, 0.0722], bitmap.pixels, axes=1) * 255
    return float(laplace(luma)[1:-1, 1:-1].var())


def main() -> None:
    parser = argparse.ArgumentParser(description="The sharpness of photos, sharp and blurred.")
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--every", type=int, default=1, help="take only every n-th picture")
    parser.add_argument("--output", type=Path, default=RESULTS / "sharpness.json")
    arguments = parser.parse_args()
    names = [folder / name for folder in arguments.folders for name in find_pictures(folder)]
    found: dict[tuple[str, str], list[float]] = {}
    count = 0
    for path in names[:: arguments.every]:
        try:
            bitmap = read_image(path)
        except ImageError:
            continue
        count += 1
        size = fit_within(bitmap.width, bitmap.height, MEASURE_SIDE, enlarge=False)
        bitmap = resize_image(bitmap, *size)
        for blur in BLURS:
            one = spoilt(bitmap, blur)
            found.setdefault(("90th percentile of blocks", blur), []).append(sharpness(one))
            found.setdefault(("variance of the whole", blur), []).append(whole_variance(one))
    limit = PrepareOptions().min_sharpness
    print(f"{count} pictures; percentiles {PERCENTILES}; share below {limit:g}")
    rows = []
    for (measure, blur), values in sorted(found.items(), key=lambda item: item[0][0]):
        percentiles = [round(float(value), 2) for value in np.percentile(values, PERCENTILES)]
        below = float(np.mean(np.asarray(values) < limit))
        shown = " ".join(f"{value:>9.4g}" for value in percentiles)
        print(f"{measure:<26} {blur:<8} {shown}  {below:>6.1%}")
        row = {"measure": measure, "blur": blur, "percentiles": percentiles}
        rows.append({**row, "share_below_limit": round(below, 4)})
    result = {
        "question": "sharpness of photos as they are and blurred, and what the default limit drops",
        **describe_run(),
        # Whose folder it was is nobody's business.
        "command": f"python benchmarks/sharpness.py FOLDER --every {arguments.every}",
        "pictures": count,
        "limit": limit,
        "percentiles": list(PERCENTILES),
        "rows": rows,
    }
    write_json(arguments.output, result)


if __name__ == "__main__":
    main()
