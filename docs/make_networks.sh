#!/bin/sh
# Makes the pictures of docs/networks.md with the project's own commands.
# A picture that is there already is kept; delete it to have it made again.
#
#   IMPASTO   the program to run, instead of scripts/impasto
#   PYTHON    a Python that has impasto, instead of the one in .venv
#   STYLES    the network of built-in styles, a file, instead of the one that ships
#   ANY       the network for any style likewise
set -eu
unset CDPATH
root=$(cd -P -- "$(dirname -- "$0")/.." && pwd)
program=${IMPASTO:-$root/scripts/impasto}
python=${PYTHON:-$root/.venv/bin/python}
pictures=$root/docs/pictures/networks
photos='cat coffee rocket astronaut'
side=224

# Repaints the bundled photos in one style: column NUMBER STYLE NETWORK
column() {
  for photo in $photos; do
    "$program" stylize "sample:$photo" "$2" --fast --network "$3" --size "$side" -o "$photo-$1.png" -q
  done
}

# Lays pictures out: grid NAME.jpg LABEL=PICTURE…
grid() {
  "$python" - "$pictures/$1" "$side" "$photos" "$@" <<'PYTHON'
import sys
from pathlib import Path

import numpy as np

from impasto.images import fit_within, read_image, resize_image
from impasto.report import Heading, plot_sheet
from impasto.sources import read_source

target, side, photos, _, *columns = sys.argv[1:]


def small(source: str, longest: int) -> np.ndarray:
    bitmap = read_source(source, 10**8)
    bitmap = resize_image(bitmap, *fit_within(bitmap.width, bitmap.height, longest))
    return np.rint(bitmap.pixels.clip(0, 1) * 255).astype(np.uint8).transpose(1, 2, 0)


names = photos.split()
cells = [
    [small(f"{name}-{number}.png", int(side)) for number in range(1, len(columns) + 1)]
    for name in names
]
pairs = [column.split("=") for column in columns]
plot_sheet(
    cells,
    Path(target),
    rows=[Heading(name, [small(f"sample:{name}", 96)]) for name in names],
    columns=[Heading(label, [small(source, 96)]) for label, source in pairs],
    quality=80,
)
PYTHON
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$pictures"
cd "$work"

if ! [ -e "$pictures/styles.jpg" ]; then
  number=0
  set --
  for style in night-sky mosaic harvest linocut watercolor stained-glass; do
    number=$((number + 1))
    column "$number" "style:$style" "${STYLES:-styles}"
    set -- "$@" "$style=style:$style"
  done
  grid styles.jpg "$@"
  rm -f ./*.png
fi

if ! [ -e "$pictures/any.jpg" ]; then
  # Drawn with seeds that were not trained with, and two photos as styles.
  number=0
  set --
  for style in night-sky mosaic batik brushwork; do
    "$program" styles draw "$style" --seed 77 --size 384 -o "$style-style.png"
    number=$((number + 1))
    column "$number" "$style-style.png" "${ANY:-any}"
    set -- "$@" "$style, seed 77=$style-style.png"
  done
  for style in coffee rocket; do
    number=$((number + 1))
    column "$number" "sample:$style" "${ANY:-any}"
    set -- "$@" "the photo $style=sample:$style"
  done
  grid any.jpg "$@"
fi

# The curves of what was held back, from the networks' own cards.
for name in styles any; do
  case $name in
    styles) network=${STYLES:-styles} ;;
    any) network=${ANY:-any} ;;
  esac
  [ -e "$pictures/$name-curves.png" ] || "$python" - "$pictures/$name-curves.png" "$network" <<'PYTHON'
import sys

from matplotlib.figure import Figure

from impasto.trained import load_network

target, name = sys.argv[1:]
found = load_network(name).card["curve"]
figure = Figure(figsize=(5, 3), dpi=100, layout="constrained")
left = figure.subplots()
right = left.twinx()
steps = [one["step"] for one in found]
left.plot(steps, [one["style"] for one in found], color="#b3541e", marker=".")
right.plot(steps, [one["content"] for one in found], color="#2b5c8a", marker=".")
left.set(xlabel="steps", ylim=(0, None))
left.set_ylabel("style", color="#b3541e")
right.set_ylabel("content", color="#2b5c8a")
right.set_ylim(0, None)
figure.savefig(target)
PYTHON
done
