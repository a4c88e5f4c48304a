"""`impasto weights`: which networks there are, and which are on this machine."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from cyclopts import App, Parameter
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table

from impasto.errors import WeightsError
from impasto.weights import (
    Listing,
    Transfer,
    add_weights,
    get_weights,
    list_weights,
    remove_weights,
    verify_weights,
)

app = App(name="weights", help="List, get, add, verify and remove the networks' weights.")


@app.command(name="list")
def list_(*, json_: Annotated[bool, Parameter(name="--json", negative="")] = False) -> None:
    """Show all weights: where they come from, and whether they are on this machine.

    Args:
        json_: Write JSON instead of a table.
    """
    listings = list_weights()
    if json_:
        print(json.dumps([asdict(listing) for listing in listings], indent=2, ensure_ascii=False))
        return
    table = Table(show_lines=True)
    table.add_column("Weights", no_wrap=True)
    table.add_column("Source, digest, licence", overflow="fold", ratio=1)
    table.add_column("Size", justify="right", no_wrap=True)
    table.add_column("Pictures", no_wrap=True)
    for listing in listings:
        table.add_row(
            f"[bold]{escape(listing.id)}[/bold]\n{_state(listing)}",
            escape(
                "\n".join(
                    filter(
                        None,
                        (_short_source(listing), _short_digest(listing.digest), listing.licence),
                    )
                )
            ),
            _megabytes(listing.size),
            listing.preprocessing,
        )
    console = Console()
    console.print(table)
    console.print(
        "Pictures: caffe is BGR, 0–255, mean subtracted; torchvision is RGB, 0–1, normalised.",
        highlight=False,
    )


def _state(listing: Listing) -> str:
    notes = ("default", listing.default), ("added", listing.added)
    return ", ".join([listing.state, *(word for word, true in notes if true)])


def _short_source(listing: Listing) -> str:
    host = urlsplit(listing.source).netloc
    return host or listing.source


def _short_digest(digest: str) -> str:
    algorithm, _, value = digest.partition(":")
    return digest if len(value) <= 16 else f"{algorithm}:{value[:16]}…"


def _megabytes(size: int | None) -> str:
    return "unknown" if size is None else f"{size / 1e6:.1f} MB"


@app.command
def get(model: str, /) -> None:
    """Download published weights, so that they load without a network from then on.

    An interrupted download goes on where it stopped.

    Args:
        model: MODEL or MODEL:VARIANT, such as vgg19:caffe.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task(escape(model), total=None, visible=False)

        def show(transfer: Transfer) -> None:
            bar.update(task, completed=transfer.received, total=transfer.total, visible=True)

        record = get_weights(model, progress=show)
    print(f"{record.model}:{record.name} is ready (content sha256 {record.sha256}).")


@app.command
def add(
    model: str, file: Path, /, *, name: str | None = None, preprocessing: str | None = None
) -> None:
    """Add a weights file of your own: PyTorch .pth, safetensors, Keras .h5 or ONNX.

    Args:
        model: The network the file holds, vgg19 or vgg16.
        file: The file; its contents are examined, its name does not matter.
        name: What to call it; by default made from the file's name.
        preprocessing: caffe (BGR, 0–255, mean subtracted) or torchvision (RGB, 0–1,
            normalised); needed unless the weights are well-known ones.
    """
    record = add_weights(model, file, name=name, preprocessing=preprocessing)
    print(f"{record.model}:{record.name} is ready ({record.preprocessing} preprocessing).")


@app.command
def verify(*models: str) -> None:
    """Hash weights again and compare; ends with an error if any of them are damaged.

    Args:
        models: MODEL or MODEL:VARIANT each; all that are on this machine if none is named.
    """
    results = verify_weights(models)
    for result in results:
        print(f"{result.id}: {'sound' if result.sound else 'DAMAGED'}: {result.detail}")
    if not results:
        print("No weights are on this machine; see: impasto weights list", file=sys.stderr)
    damaged = [result.id for result in results if not result.sound]
    if damaged:
        raise WeightsError(f"damaged weights: {', '.join(damaged)}; do as said above")


@app.command
def remove(model: str, /) -> None:
    """Delete weights from the cache; those that a Python package carries stay in the package.

    Args:
        model: MODEL:VARIANT, in full.
    """
    freed = remove_weights(model)
    print(f"{model} removed, {_megabytes(freed)} freed.")
