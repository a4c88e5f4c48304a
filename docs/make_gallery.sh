#!/bin/sh
# Makes every picture of docs/gallery.md and the README with the project's own commands.
# A picture that is there already is kept; delete it to have it made again.
set -eu
cd "$(dirname "$0")/.."
out=docs/pictures/gallery
mkdir -p "$out" docs/pictures/styles

while read -r photo style; do
    file="$out/$photo-$style.jpg"
    [ -e "$file" ] || ./scripts/impasto stylize "sample:$photo" "style:$style" -o "$file" --quality 88
done <<PAIRS
cat night-sky
coffee stained-glass
rocket water-garden
astronaut mosaic
cat linocut
rocket night-sky
coffee harvest
astronaut watercolor
cat ink-wash
rocket marbling
PAIRS

# The cat in every style of the page's own section; the list there is the one that counts.
grep -o 'pictures/gallery/cat-[a-z-]*\.jpg' docs/gallery.md | while read -r name; do
    file="docs/$name"
    style=$(basename "$name" .jpg)
    [ -e "$file" ] || ./scripts/impasto stylize sample:cat "style:${style#cat-}" --size 320 \
        -o "$file" --quality 74 </dev/null
done

./scripts/impasto styles list | sed 's/^style://; s/ .*//' | while read -r style; do
    file="docs/pictures/styles/$style.jpg"
    [ -e "$file" ] || ./scripts/impasto styles draw "$style" --size 384 -o "$file" --quality 74 \
        </dev/null
done
