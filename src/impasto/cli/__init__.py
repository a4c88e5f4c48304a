"""The command line: parse, call, show.

Commands live in the other modules of this folder and load when they are called, so that
`impasto --help` answers at once. `main` is the only place that prints errors and sets exit codes.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence

from cyclopts import App, CycloptsError

from impasto import __version__
from impasto.errors import ImpastoError

EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130

app = App(
    name="impasto",
    help="Repaint a photo in the style of a painting.",
    version=__version__,
    help_format="plaintext",
)

_COMMANDS = {
    "stylize": ("impasto.cli.stylize:stylize", "Repaint a photo in the style of paintings."),
    "demo": ("impasto.cli.stylize:demo", "Repaint a bundled photo in a built-in style."),
    "reproduce": ("impasto.cli.stylize:reproduce", "Run again what made a picture."),
    "reconstruct": (
        "impasto.cli.reconstruct:app",
        "See what layers know: pictures rebuilt from content or style alone.",
    ),
    "styles": ("impasto.cli.styles:app", "List and draw the built-in style pictures."),
    "model": ("impasto.cli.show:model", "Show a network's layers, or what they see in a picture."),
    "presets": ("impasto.cli.show:presets", "Show the presets, their sources and settings."),
    "weights": ("impasto.cli.weights:app", "List, get, add, verify and remove network weights."),
    "info": ("impasto.cli.show:info", "Show versions, device, threads and weights."),
}
for _name, (_target, _help) in _COMMANDS.items():
    app.command(_target, name=_name, help=_help)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line.

    Args:
        arguments: without the program's name; by default those of the process.

    Returns:
        The exit code: 0, 1 for a failed run, 2 for bad input, 130 after Ctrl-C.
    """
    # File names need not be valid text, nor every letter known to the terminal.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        code = app(arguments, exit_on_error=False, print_error=False, result_action="return_value")
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except CycloptsError as error:
        return _fail(" ".join(str(error).split()), EXIT_BAD_INPUT)
    except ImpastoError as error:
        return _fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        return _fail("interrupted", EXIT_INTERRUPTED)
    except BrokenPipeError:
        # The reader of a pipe has gone: leave quietly, with nothing for the interpreter to flush.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _fail(message: str, code: int) -> int:
    print(f"impasto: {message}", file=sys.stderr)
    return code
