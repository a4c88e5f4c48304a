"""`impasto compare`: results judged by numbers, as a table, JSON or CSV."""

from __future__ import annotations

import json as json_text
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from impasto.cli import say
from impasto.errors import OptionError

if TYPE_CHECKING:
    from impasto.quality import Comparison

_COLUMNS = {
    "style_gram": ("style\n(Gram)", 3),
    "style_wasserstein2": ("style\n(W2)", 3),
    "content": ("content", 3),
    "structure": ("struc-\nture", 3),
    "color": ("colour", 3),
    "chroma": ("chroma", 3),
    "edges": ("edges", 3),
    "noise": ("noise", 2),
    "border": ("border", 2),
}
"""Measure → its heading and decimals."""

_ALONE = ("noise_deviation", "border_steps")


def compare(
    pictures: Annotated[list[str], Parameter(negative="")],
    /,
    *,
    content: str | None = None,
    style: Annotated[list[str] | None, Parameter(negative="")] = None,
    style_weights: str | None = None,
    between: Annotated[bool, Parameter(negative="")] = False,
    size: int | None = None,
    model: str = "vgg19",
    style_layers: str | None = None,
    content_layers: str | None = None,
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto",
    max_pixels: int | None = None,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    overwrite: Annotated[bool, Parameter(negative="")] = False,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> None:
    """Measure results by numbers: style, content, colours, edges, noise and borders.

    Args:
        pictures: The results; a few of the same photo and paintings compare best.
        content: The photo; by default the one that each picture's settings name.
        style: A painting, given once for each; by default those that each picture's settings name.
        style_weights: Shares of the paintings given, with commas; equal ones by default.
        between: Also show the style distances between the pictures.
        size: Long side at which they are compared, px; by default that of the smallest, at most
            512.
        model: The network that measures, vgg19 or vgg16, with :VARIANT if wanted.
        style_layers: Where style is measured; by default relu1_2, relu2_2, relu3_2, relu4_3 and
            relu5_2, without those that a picture was fitted at.
        content_layers: Where content is measured; by default relu3_3 and relu4_3, likewise.
        device: Where to run.
        max_pixels: Largest picture file to read, in pixels.
        output: Also write the numbers to this file, FILE.csv.
        overwrite: Replace a file that exists.
        as_json: Write JSON with every number instead of a table.
    """
    from impasto.cli.running import check_apart, one_interrupt
    from impasto.images import DEFAULT_MAX_PIXELS, check_place, write_whole

    shares = _shares(style_weights)
    if output is not None:
        if output.suffix.lower() != ".csv":
            raise OptionError(f"--output {output}: numbers are written as .csv; use that ending")
        check_place(output, overwrite=overwrite)
        check_apart({"--output": output}, [*pictures, *(style or []), *filter(None, [content])])
    from impasto import quality

    with one_interrupt():
        found = quality.compare(
            pictures,
            content,
            style,
            style_weights=shares,
            between=between,
            size=size,
            model=model,
            style_layers=style_layers,
            content_layers=content_layers,
            device=device,
            max_pixels=DEFAULT_MAX_PIXELS if max_pixels is None else max_pixels,
        )
    for note in found.notes:
        say(f"note: {note}")
    if output is not None:
        write_whole(output, _csv(found).encode(), overwrite=overwrite)
    if as_json:
        print(json_text.dumps(found.record(), indent=2, ensure_ascii=False))
    else:
        _show(found)


def _shares(text: str | None) -> list[float]:
    try:
        return [float(share) for share in text.split(",")] if text else []
    except ValueError:
        raise OptionError(
            f"--style-weights '{text}': give numbers with commas and no blanks, such as 2,1"
        ) from None


def _show(found: Comparison) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    def number(value: float | None, decimals: int) -> str:
        return "–" if value is None else f"{value:.{decimals}f}"

    console = Console(highlight=False)
    table = Table(box=None, padding=(0, 0, 0, 1), pad_edge=False)
    table.add_column("picture", overflow="fold")
    for heading, _ in _COLUMNS.values():
        table.add_column(heading, justify="right", no_wrap=True)
    names = [Path(row.picture).name for row in found.pictures]
    if len(set(names)) < len(names):
        names = [row.picture for row in found.pictures]
    for name, row in zip(names, found.pictures, strict=True):
        cells = (number(getattr(row.measures, n), d) for n, (_, d) in _COLUMNS.items())
        table.add_row(Text(name), *cells)
    console.print(table)
    print(
        f"at {found.size} px with {found.model}; style at {', '.join(found.style_layers)}; "
        f"content at {', '.join(found.content_layers)}"
    )
    if found.between is None:
        return
    print("\nstyle (Gram) between the pictures:")
    table = Table(box=None, padding=(0, 0, 0, 1), pad_edge=False)
    table.add_column("picture", overflow="fold")
    for place in range(1, len(found.pictures) + 1):
        table.add_column(str(place), justify="right", no_wrap=True)
    for place, (name, values) in enumerate(zip(names, found.between, strict=True), 1):
        table.add_row(Text(f"{place} {name}"), *(number(value, 3) for value in values))
    console.print(table)


def _csv(found: Comparison) -> str:
    import csv
    import io

    names = [*_COLUMNS, *_ALONE]
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["picture", "width", "height", "size", *names])
    for row in found.pictures:
        values = (getattr(row.measures, name) for name in names)
        writer.writerow([row.picture, row.width, row.height, found.size, *values])
    return text.getvalue()
