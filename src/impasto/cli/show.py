"""`impasto info`, `model` and `presets`: what is there, as tables."""

from __future__ import annotations

import json as json_text
import platform
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from impasto import __version__
from impasto.errors import OptionError, one_line

_Json = Annotated[bool, Parameter(negative="")]


def info(*, json: _Json = False) -> None:
    """Show versions, device, threads and weights: what a bug report needs.

    Args:
        json: Write JSON.
    """
    import pyvips
    import torch

    from impasto.devices import pick_device
    from impasto.weights import list_weights

    facts: dict[str, Any] = {
        "impasto": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "torch": torch.__version__,
        "libvips": ".".join(str(pyvips.version(i)) for i in range(3)),
        "device": str(pick_device("auto")),
        "threads": torch.get_num_threads(),
        "weights": [listing.id for listing in list_weights() if listing.state == "installed"],
    }
    if json:
        print(json_text.dumps(facts, indent=2))
        return
    for name, value in facts.items():
        shown = ", ".join(value) if isinstance(value, list) else value
        print(f"{name:<10} {shown}")


def presets(*, json: _Json = False) -> None:
    """Show the presets, their sources and what each one sets.

    Args:
        json: Write JSON.
    """
    from impasto.options import PRESETS, StyleOptions

    if json:
        print(json_text.dumps({n: p.model_dump() for n, p in PRESETS.items()}, indent=2))
        return
    for name, preset in PRESETS.items():
        print(f"{name}: {preset.title}\n  {preset.citation}")
        dumped = StyleOptions(preset=name).model_dump(mode="json")  # pyright: ignore
        for option in preset.values:
            flag, value = option.replace("_", "-"), dumped[option]
            if isinstance(value, bool):
                print(f"    --{flag}" if value else f"    --no-{flag}")
            else:
                print(f"    --{flag} {value}")


def model(
    name: str = "vgg19",
    /,
    *,
    picture: Path | None = None,
    layers: str = "relu1_1,relu2_1,relu3_1,relu4_1,relu5_1",
    maps: int = 16,
    input: Annotated[bool, Parameter(negative="")] = False,
    size: int = 256,
    max_pixels: int | None = None,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    overwrite: Annotated[bool, Parameter(negative="")] = False,
    json: _Json = False,
) -> None:
    """Show a network's layers, or with --picture what they see in it.

    Args:
        name: vgg16 or vgg19; with --picture also MODEL:VARIANT.
        picture: Draw the strongest feature maps that this picture causes, into --output; a file,
            sample:NAME or style:NAME.
        layers: Layers to draw.
        maps: Feature maps to draw of each layer.
        input: With --picture: draw what enters the network, too, channel by channel.
        size: Long side to which the picture is brought, px.
        max_pixels: Largest picture file to read, in pixels.
        output: The figure to write.
        overwrite: Replace a file that exists.
        json: Write the table as JSON.
    """
    from impasto.features import layers_of
    from impasto.weights import CONVOLUTIONS_PER_BLOCK

    architecture = name.partition(":")[0]
    if architecture not in CONVOLUTIONS_PER_BLOCK or (picture is None and architecture != name):
        raise OptionError(f"'{name}': the networks are {' and '.join(CONVOLUTIONS_PER_BLOCK)}")
    if picture is not None:
        if output is None:
            raise OptionError("--picture needs --output FILE.png for its figure")
        _draw_maps(name, picture, layers, maps, input, size, max_pixels, output, overwrite)
        print(output)
        return
    if input:
        raise OptionError("--input: acts only with --picture; add a picture, or leave it out")
    table = layers_of(architecture)
    if json:
        from dataclasses import asdict

        print(json_text.dumps([asdict(layer) for layer in table], indent=2))
        return
    print(f"{architecture}: every convolution is 3 x 3, followed by a ReLU\n")
    print("layer    Keras         maps  stride  sees (px)  parameters")
    block = "1"
    for layer in table:
        if layer.name[4] != block:
            block = layer.name[4]
            print("   pooling 2 x 2")
        print(
            f"{layer.name}  {layer.keras}  {layer.channels:>4}  {layer.stride:>6}  "
            f"{layer.receptive_field:>9}  {layer.parameters:>10,}"
        )
    print(f"\n{sum(layer.parameters for layer in table):,} parameters")


def network(file: Path, /, *, json: _Json = False) -> None:
    """Show a trained network: its size, its styles and its card.

    Args:
        file: The network: styles, any or a file.
        json: Write JSON.
    """
    from dataclasses import asdict

    from impasto.networks import read_network
    from impasto.trained import network_path

    file = network_path(file)
    found = read_network(file)
    parameters = sum(p.numel() for p in found.transfer.parameters())
    facts = {
        "sha256": found.sha256,
        "bytes": file.stat().st_size,
        "shape": asdict(found.transfer.shape),
        "parameters": parameters,
        "styles": found.names,
        "card": dict(found.card),
    }
    if json:
        print(json_text.dumps(facts, indent=2, ensure_ascii=False))
        return
    kind = f"knows {len(found.names)} styles" if found.table is not None else "takes any style"
    # What a foreign file says may hold commands for the terminal.
    print(
        f"{one_line(file.name)}: {kind}; {parameters:,} parameters, {facts['bytes'] / 1e6:.1f} MB"
    )
    print(f"sha256  {found.sha256}")
    if found.names:
        print(f"styles  {one_line(', '.join(found.names))}")
    for name, value in found.card.items():
        if name not in ("styles", "curve"):
            shown = value if isinstance(value, str) else json_text.dumps(value, ensure_ascii=False)
            print(f"{one_line(str(name))}  {one_line(shown)}")


def _draw_maps(
    name: str,
    picture: Path,
    layers: str,
    maps: int,
    given: bool,
    size: int,
    max_pixels: int | None,
    output: Path,
    overwrite: bool,
) -> None:
    from impasto.cli.running import check_apart
    from impasto.images import DEFAULT_MAX_PIXELS
    from impasto.options import parse_layers
    from impasto.report import check_figure, plot_grid, plot_input, tile_maps
    from impasto.run import feature_maps, network_input

    if maps < 1:
        raise OptionError(f"--maps {maps}: must be at least 1")
    try:
        wanted = list(parse_layers(layers))
    except ValueError as error:
        raise OptionError(f"--layers: {error}") from None
    check_figure(output, overwrite=overwrite)
    check_apart({"--output": output}, [str(picture)])
    limit = DEFAULT_MAX_PIXELS if max_pixels is None else max_pixels
    shown, found = feature_maps(str(picture), wanted, model=name, size=size, max_pixels=limit)
    if given:
        sheets = {layer: tile_maps(found[layer], maps) for layer in found}
        _, planes = network_input(str(picture), model=name, size=size, max_pixels=limit)
        plot_input(shown, planes, sheets, output, overwrite=overwrite)
        return
    cells = [shown, *(tile_maps(found[layer], maps) for layer in found)]
    plot_grid([cells], output, columns=["picture", *found], cell=2.8, overwrite=overwrite)
