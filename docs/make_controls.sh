#!/bin/sh
# Makes every picture of docs/controls.md with the project's own commands.
# A picture that is there already is kept; delete it to have it made again.
set -eu
cd "$(dirname "$0")/.."
out=docs/pictures/controls
mkdir -p "$out"

sheet() { # NAME OPTIONS…
    name=$1
    shift
    [ -e "$out/$name.jpg" ] && return
    cells=$(mktemp -d)
    ./scripts/impasto sheet --size 192 -o "$cells" --sheet sheet.jpg -q "$@"
    mv "$cells/sheet.jpg" "$out/$name.jpg"
    rm -r "$cells"
}

# Sheets
sheet sheet --photo sample:cat sample:rocket sample:astronaut \
    --style style:linocut style:night-sky style:mosaic
sheet sheet-vary --photo sample:cat --style style:night-sky \
    --vary style-weight=2..32/3log --vary start=content,recolored
