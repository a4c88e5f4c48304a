"""`impasto styles`: the built-in style pictures."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

app = App(name="styles", help="List and draw the built-in style pictures.", help_format="plaintext")

# About the dots that a picture of the contact sheet is drawn with.
_SHEET_SIDE = 320


@app.default
@app.command(name="list")
def list_() -> None:
    """List the built-in styles; use their names wherever a painting is wanted."""
    from impasto.styles import describe, style_names

    width = max(len(name) for name in style_names())
    for name in style_names():
        print(f"style:{name:<{width}}  {describe(name)}")


@app.command
def draw(
    name: str,
    /,
    *,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    size: int = 768,
    seed: int = 0,
    quality: int = 92,
    overwrite: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Draw a built-in style as a picture of its own.

    Args:
        name: The style's name.
        output: The picture to write; by default NAME.png in the current folder.
        size: Side of the square picture, px.
        seed: Another seed draws another picture of the same kind.
        quality: Of JPEG, WebP and the like, 1 to 100.
        overwrite: Replace a file that exists.
    """
    from impasto.cli.running import free_name
    from impasto.images import Bitmap, check_output, write_image
    from impasto.styles import describe, draw_style

    name = name.removeprefix("style:")
    describe(name)  # an unknown name is that fault, not one of the file named after it
    path = output or free_name(Path.cwd(), name)
    check_output(path, overwrite=overwrite)
    drawn = Bitmap(draw_style(name, size, size, seed))
    write_image(drawn, path, quality=quality, overwrite=overwrite)
    print(path)


@app.command
def sheet(
    *,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    seed: int = 0,
    overwrite: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Draw all built-in styles, with their names, on one contact sheet.

    Args:
        output: The figure to write: PNG, SVG or PDF; by default styles.png in the current folder.
        seed: Another seed draws other pictures of the same kinds.
        overwrite: Replace a file that exists.
    """
    from impasto.cli.running import free_name
    from impasto.report import check_figure, plot_grid
    from impasto.styles import draw_style, style_names

    path = output or free_name(Path.cwd(), "styles")
    check_figure(path, overwrite=overwrite)
    names = style_names()
    across = math.ceil(math.sqrt(len(names)))
    rows = [names[first : first + across] for first in range(0, len(names), across)]
    drawn = [
        [draw_style(name, _SHEET_SIDE, _SHEET_SIDE, seed).transpose(1, 2, 0) for name in row]
        for row in rows
    ]
    plot_grid(drawn, path, labels=rows, cell=1.6, overwrite=overwrite)
    print(path)
