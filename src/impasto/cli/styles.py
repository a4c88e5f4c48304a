"""`impasto styles`: the built-in style pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

app = App(name="styles", help="List and draw the built-in style pictures.", help_format="plaintext")


@app.command(name="list")
def list_() -> None:
    """List the built-in styles; use them as style:NAME wherever a painting is wanted."""
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
    overwrite: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Draw a built-in style as a picture of its own.

    Args:
        name: The style's name.
        output: The picture to write; by default NAME.png in the current folder.
        size: Side of the square picture, px.
        seed: Another seed draws another picture of the same kind.
        overwrite: Replace a file that exists.
    """
    from impasto.cli.running import free_name
    from impasto.images import Bitmap, check_output, write_image
    from impasto.styles import describe, draw_style

    name = name.removeprefix("style:")
    describe(name)  # an unknown name is that fault, not one of the file named after it
    path = output or free_name(Path.cwd(), name)
    check_output(path, overwrite=overwrite)
    write_image(Bitmap(draw_style(name, size, size, seed)), path, overwrite=overwrite)
    print(path)
