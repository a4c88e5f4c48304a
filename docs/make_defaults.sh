#!/bin/sh
# Makes every picture of docs/defaults.md with the project's own commands.
# A picture that is there already is kept; delete it to have it made again.
set -eu
cd "$(dirname "$0")/.."
out=docs/pictures/defaults
mkdir -p "$out"

make() { # NAME OPTIONS…
    name=$1
    shift
    for pair in "cat linocut" "rocket night-sky" "astronaut mosaic"; do
        photo=${pair% *} style=${pair#* }
        file="$out/$photo-$style-$name.jpg"
        [ -e "$file" ] ||
            ./scripts/impasto stylize "sample:$photo" "style:$style" --size 320 -o "$file" -q "$@"
    done
}

make default
make gram --style-loss gram
make gram-mean-std --style-loss gram+mean-std
make average --pooling average
make fine-layers --style-layers relu1_1=0.75,relu2_1=0.19,relu3_1=0.047,relu4_1=0.012,relu5_1=0.003
make no-tv --tv-weight 0
make content-start --start content
make gatys --preset gatys --evaluations 100
