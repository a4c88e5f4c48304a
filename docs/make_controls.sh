#!/bin/sh
# Makes every picture of docs/controls.md with the project's own commands.
# A picture that is there already is kept; delete it to have it made again.
set -eu
cd "$(dirname "$0")/.."
out=docs/pictures/controls
mkdir -p "$out"

make() { # NAME PHOTO STYLE OPTIONS…
    file="$out/$1.jpg" photo=$2 style=$3
    shift 3
    [ -e "$file" ] || ./scripts/impasto stylize "sample:$photo" "style:$style" -o "$file" \
        --quality 85 -q "$@"
}

# Masks: where the cup with its saucer is, and the astronaut.
[ -e "$out/mask-coffee.png" ] && [ -e "$out/mask-astronaut.png" ] || .venv/bin/python - "$out" <<'MASKS'
import sys

import numpy as np

from impasto.images import Bitmap, write_image


def ellipse(shape, x, y, across, down):
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return ((columns - x) / across) ** 2 + ((rows - y) / down) ** 2


def soft(distance):
    return np.clip((1.03 - distance) / 0.06, 0, 1)


coffee, astronaut = (400, 600), (512, 512)
cup = np.maximum(
    soft(ellipse(coffee, 278, 224, 203, 164)), soft(ellipse(coffee, 286, 112, 114, 96))
)
person = np.maximum.reduce(
    [
        soft(ellipse(astronaut, 227, 96, 68, 80)),
        soft(ellipse(astronaut, 207, 236, 95, 84)),
        soft(ellipse(astronaut, 196, 440, 176, 210)),
    ]
)
for name, mask in ("coffee", cup), ("astronaut", person):
    pixels = np.repeat(mask[None].astype(np.float32), 3, axis=0)
    write_image(Bitmap(pixels), f"{sys.argv[1]}/mask-{name}.png", overwrite=True)
MASKS

# Strength
for strength in 0.25 0.5 0.75 1; do
    make "strength-$strength" cat night-sky --size 256 --strength "$strength"
done

# Brush size
for scale in 0.5 1 2 0.5+2; do
    make "scale-$scale" coffee mosaic --size 320 --style-scale "$scale"
done

# Fine texture from another painting
make fine-none cat marbling --size 320
for style in mosaic embroidery; do
    make "fine-$style" cat marbling --size 320 --fine-style "style:$style"
done

# Regions
file="$out/regions-two.jpg"
[ -e "$file" ] || ./scripts/impasto stylize sample:coffee style:mosaic style:night-sky \
    --mask "$out/mask-coffee.png" --size 384 -o "$file" --quality 85 -q
file="$out/regions-keep.jpg"
[ -e "$file" ] || ./scripts/impasto stylize sample:astronaut style:harvest \
    --mask "$out/mask-astronaut.png" --regions "keep;1" --size 384 -o "$file" --quality 85 -q

# Textures
file="$out/texture-mosaic.jpg"
[ -e "$file" ] ||
    ./scripts/impasto texture style:mosaic --aspect 16:9 --size 320 -o "$file" --quality 85 -q
for style in mosaic marbling; do
    file="$out/tileable-$style.jpg"
    if [ ! -e "$file" ]; then
        ./scripts/impasto texture "style:$style" --tileable --size 160 -o "$out/tile.png" -q
        .venv/bin/python - "$out/tile.png" "$file" <<'FOUR'
import sys
from dataclasses import replace

import numpy as np

from impasto.images import read_image, write_image

tile = read_image(sys.argv[1])
write_image(replace(tile, pixels=np.tile(tile.pixels, (1, 2, 2))), sys.argv[2], quality=85)
FOUR
        rm "$out/tile.png"
    fi
done

# Style losses
for loss in gram gram+mean-std mean-std wasserstein2 sliced histogram nearest; do
    make "style-loss-$loss" cat stained-glass --size 256 --style-loss "$loss"
done
make style-loss-mixed cat stained-glass --size 256 --style-loss wasserstein2=1,nearest=1

# Content losses
for loss in features self-similarity; do
    make "content-loss-$loss" astronaut water-garden --size 256 --content-loss "$loss"
done
make content-loss-laplacian astronaut water-garden --size 256 --content-loss features=1,laplacian=1

# Colour
[ -e "$out/color-style.jpg" ] ||
    ./scripts/impasto styles draw night-sky --size 213 -o "$out/color-style.jpg"
make color-photo coffee night-sky --size 320 --color only --color-strength 0
make color-painting coffee night-sky --size 320
make color-luminance coffee night-sky --size 320 --color luminance
make color-match coffee night-sky --size 320 --color match
make color-match-histogram coffee night-sky --size 320 --color match --color-method histogram
make color-only coffee night-sky --size 320 --color only
make color-only-histogram coffee night-sky --size 320 --color only --color-method histogram
make color-luminance-half coffee night-sky --size 320 --color luminance --color-strength 0.5

# Photographs as style
photoreal() { # NAME PHOTO STYLE OPTIONS…
    file="$out/photo-real-$1.jpg" photo=$2 style=$3
    shift 3
    [ -e "$file" ] || ./scripts/impasto stylize "sample:$photo" "sample:$style" --size 320 \
        -o "$file" --quality 85 -q "$@"
}
for pair in "rocket coffee" "coffee rocket"; do
    photo=${pair% *} style=${pair#* }
    photoreal "$photo" "$photo" "$style" --color only --color-strength 0
    photoreal "$photo-colors" "$photo" "$style" --color only
    photoreal "$photo-$style" "$photo" "$style" --preset photo-real
done

sheet() { # NAME OPTIONS…
    name=$1
    shift
    [ -e "$out/$name.jpg" ] && return
    cells=$(mktemp -d)
    ./scripts/impasto sheet --size 192 -o "$cells" --sheet sheet.jpg --quality 72 -q "$@"
    mv "$cells/sheet.jpg" "$out/$name.jpg"
    rm -r "$cells"
}

# Sheets
sheet sheet --photo sample:cat sample:rocket sample:astronaut \
    --style style:linocut style:night-sky style:mosaic
sheet sheet-vary --photo sample:cat --style style:night-sky \
    --vary style-weight=2..32/3log --vary start=content,recolored
