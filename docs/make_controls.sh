#!/bin/sh
# Makes every picture of docs/controls.md with the project's own commands.
# A picture that is there already is kept; delete it to have it made again.
set -eu
cd "$(dirname "$0")/.."
out=docs/pictures/controls
mkdir -p "$out"
