#!/bin/sh
# Makes every picture of docs/prepare.md with the project's own commands.
# A picture that is there already is kept; delete it to have it made again.
#
#   IMPASTO   the program to run, instead of scripts/impasto
#   PYTHON    a Python that has pyvips, instead of the one in .venv
set -eu
unset CDPATH
root=$(cd -P -- "$(dirname -- "$0")/.." && pwd)
program=${IMPASTO:-$root/scripts/impasto}
python=${PYTHON:-$root/.venv/bin/python}
pictures=$root/docs/pictures/prepare

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

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$pictures"
cd "$work"

if ! [ -e "$pictures/report.jpg" ]; then
  # A folder as it may come: photos, pictures, one of them twice, a tiny one, and a note.
  mkdir album
  cp "$root"/src/impasto/samples/*.jpg album
  cp album/cat.jpg "album/cat (1).jpg"
  for style in embroidery engraving facets harvest ink-wash linocut marbling mosaic night-sky pastel \
    pointillism stained-glass water-garden watercolor; do
    impasto styles draw "$style" --size 640 --output "album/$style.png"
  done
  impasto styles draw mosaic --size 120 --output album/icon.png
  echo 'photos from the trip' > album/notes.txt
  impasto prepare album --size 512
  keep album-prepared/report.png report.jpg 1100 78
fi

if ! [ -e "$pictures/input.jpg" ]; then
  impasto model vgg19 --picture sample:cat --input --layers relu1_1,relu2_1,relu3_1,relu4_1 --maps 9 --output input.png
  keep input.png input.jpg 900 64
fi

if ! [ -e "$pictures/table.jpg" ]; then
  impasto try sample:all --count 4 --seed 5
  keep all-tried/table.png table.jpg 500 70
fi
