"""`impasto live`: a camera through a transfer network, in the browser."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Group, Parameter

from impasto.cli import say
from impasto.cli.flags import flags, given
from impasto.cli.video import need_packages
from impasto.errors import OptionError
from impasto.options import StyleOptions, make_options

if TYPE_CHECKING:
    from impasto.live.mirror import Choice
    from impasto.painters import NetworkPainter

KEPT = ("size", "strength", "color", "device", "precision", "threads")
"""Options of a picture that act here."""

SIZE = 384
"""Long side by default, px: less than of a picture, for more pictures a second."""

HOLD = 20.0
"""How strongly a picture is held to the one before, by default; less than in a clip, since fewer
pictures a second make what is held last longer."""

_left_out = tuple(name for name in StyleOptions.model_fields if name not in KEPT)
_flags = flags(StyleOptions, _left_out, (("size", SIZE),))
if TYPE_CHECKING:
    Flags = Any
else:
    Flags = _flags
_NO_FLAGS = _flags()
_CAMERA = Group("Camera", sort_key=1)


def live(
    styles: Annotated[list[str], Parameter(negative="")],
    /,
    *,
    camera: Annotated[str, Parameter(group=_CAMERA)] = "0",
    loop: Annotated[bool, Parameter(negative="", group=_CAMERA)] = False,
    hold: Annotated[float, Parameter(group=_CAMERA)] = HOLD,
    network: Annotated[str | None, Parameter(group=_CAMERA)] = None,
    port: Annotated[int, Parameter(group=_CAMERA)] = 0,
    open: Annotated[bool, Parameter(negative="", group=_CAMERA)] = False,
    options: Flags = _NO_FLAGS,
) -> int:
    """Show the camera, repainted as it goes, on a page for this computer's browser.

    Args:
        styles: The painting, or the name of a built-in style, to begin with; more of them, and all
            built-in styles, can be chosen on the page.
        camera: The camera's number or device, or a clip to play in its place.
        loop: With a clip: begin it anew at its end.
        hold: How strongly a picture is held to the one before, as for clips; 0: not at all.
        network: styles, which knows the built-in styles, any, which takes paintings, or a network's
            file; by default the first for built-in styles.
        port: Port of the page; 0 takes any that is free.
        open: Open the page in this computer's browser.
    """
    if not 0 <= hold <= 1e15:
        raise OptionError(f"--hold {hold:g}: must be from 0 to 1e15")
    if not 0 <= port <= 65535:
        raise OptionError(f"--port {port}: must be from 0 to 65535")
    chosen = make_options({"size": SIZE, **given(options)})
    need_packages()
    from impasto.live.camera import Camera
    from impasto.live.mirror import Choice, Mirror
    from impasto.live.page import show
    from impasto.painters import NetworkPainter

    def painter_of(choice: Choice) -> NetworkPainter:
        changed = chosen.model_copy(update={"strength": choice.strength})
        painter = NetworkPainter([choice.style], changed, network, hold)
        painter.try_out()
        return painter

    first = Choice(styles[0], chosen.strength)
    for style in styles:
        painter_of(Choice(style, chosen.strength))
    names = [*styles, *(name for name in _known(network) if name not in styles)]
    mirror = Mirror(Camera(camera, chosen.size, loop=loop), first, painter_of, hold=hold > 0)

    def announce(address: str) -> None:
        print(f"The camera is shown at {address}  (Ctrl-C ends it)", flush=True)
        if open:
            import webbrowser

            webbrowser.open(address)

    try:
        show(mirror, names, port, announce)
    finally:
        mirror.close()
    if mirror.fault:
        say(f"impasto: {mirror.fault}")
    return 0


def _known(network: str | None) -> list[str]:
    """Names of styles that can be chosen in any case."""
    from impasto.blueprint import IDENTITY
    from impasto.styles import style_names
    from impasto.trained import SHIPPED, load_network

    if network is None or network in SHIPPED:
        return style_names()
    names = load_network(network).names
    return [name for name in names if name != IDENTITY] or style_names()
