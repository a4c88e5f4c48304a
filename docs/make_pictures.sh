#!/bin/sh
# Remakes every picture of docs/how-it-works.md, in its order, with the commands printed there.
# Takes a quarter of an hour on a laptop CPU.
#
#   IMPASTO   the program to run, instead of scripts/impasto
#   PYTHON    a Python that has pyvips, instead of the one in .venv
set -eu
unset CDPATH
root=$(cd -P -- "$(dirname -- "$0")/.." && pwd)
program=${IMPASTO:-$root/scripts/impasto}
python=${PYTHON:-$root/.venv/bin/python}
pictures=$root/docs/pictures/how-it-works

impasto() {
  "$program" "$@"
}

# Puts a picture into the page as a small JPEG: keep FILE NAME.jpg WIDTH QUALITY
keep() {
  "$python" -c '
import sys, pyvips
source, target, width, quality = sys.argv[1:]
picture = pyvips.Image.thumbnail(source, int(width), height=10000, size="down")
if picture.hasalpha():
    picture = picture.flatten(background=255)
picture.jpegsave(target, Q=int(quality), keep="none")' "$1" "$pictures/$2" "$3" "$4"
}

# The commands name their files plainly, so they run in a folder of their own.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$pictures"
cd "$work"

impasto styles draw night-sky --size 256 --output night-sky.png
keep night-sky.png night-sky.jpg 256 88

impasto stylize sample:cat style:night-sky --preset gatys --size 256 --evaluations 100 --plot loss.png --output repainted.png
keep repainted.png repainted.jpg 256 88
keep loss.png loss.jpg 1100 85

impasto model vgg19 --picture sample:cat --layers relu1_1,relu3_1,relu5_1 --maps 9 --output feature-maps.png
keep feature-maps.png feature-maps.jpg 1100 85

impasto stylize sample:cat style:night-sky --preset gatys --size 256 --evaluations 100 --pooling max --output max-pooling.png
keep max-pooling.png max-pooling.jpg 256 88

impasto stylize sample:cat style:night-sky --preset gatys --size 256 --evaluations 100 --start noise --snapshots forming --output from-noise.png
keep from-noise.png from-noise.jpg 256 88
for number in 000001 000011 000031 000091; do
  keep "forming/$number.png" "forming-$number.jpg" 256 88
done

impasto styles draw mosaic --size 256 --output mosaic.png
impasto stylize sample:cat style:night-sky --preset gatys --size 256 --evaluations 100 --start-image mosaic.png --output from-mosaic.png
keep from-mosaic.png from-mosaic.jpg 256 88

impasto reconstruct figure sample:cat style:night-sky --size 160 --evaluations 80 --output reconstructions.png
keep reconstructions.png reconstructions.jpg 720 75
