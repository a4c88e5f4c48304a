"""The command line: parse, call, show.

Commands live in the other modules of this folder and load when they are called, so that
`impasto --help` answers at once. `main` is the only place that prints errors and sets exit codes.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from cyclopts import (
    App,
    CycloptsError,
    MissingArgumentError,
    UnknownOptionError,
    UnusedCliTokensError,
)

from impasto import __version__
from impasto.errors import ImpastoError, one_line

EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130

app = App(
    name="impasto",
    help="Repaint a photo in the style of a painting.",
    version=__version__,
    help_format="plaintext",
    suppress_keyboard_interrupt=False,
)

_COMMANDS = {
    "stylize": ("impasto.cli.stylize:stylize", "Repaint a photo in the style of paintings."),
    "demo": (
        "impasto.cli.stylize:demo",
        "Repaint a bundled photo in a built-in style.\n\n"
        "The picture goes to impasto-demo.png in the current folder, or to --output.",
    ),
    "resume": (
        "impasto.cli.resume:resume",
        "Go on with a run that was interrupted.\n\n"
        "The run goes on from the file that --checkpoint named, to the same picture as if it had "
        "never been interrupted, and writes what the interrupted command would have written.",
    ),
    "reproduce": (
        "impasto.cli.stylize:reproduce",
        "Run again what made a picture.\n\n"
        "The settings come from inside the picture; flags given here replace them. The result goes "
        "beside the old one as NAME-again, in the same format and depth, unless --output says "
        "otherwise.",
    ),
    "continue": (
        "impasto.cli.stylize:go_on",
        "Take a preview, or any smaller result, on to a larger size or to print.\n\n"
        "The settings come from inside the picture; flags given here replace them. The result goes "
        "beside the old one as NAME-large unless --output says otherwise.",
    ),
    "video": (
        "impasto.cli.video:video",
        "Repaint a clip in the style of paintings, without flicker.\n\n"
        "Finished frames are kept in OUTPUT.frames until all are done: the same command goes on "
        "where it was interrupted.",
    ),
    "live": (
        "impasto.cli.live:live",
        "Show the camera through a transfer network, as it goes.\n\n"
        "It opens a page for this computer's browser alone, to choose the style and its strength "
        "on, and to save pictures from.",
    ),
    "texture": (
        "impasto.cli.texture:texture",
        "Make a texture in the style of paintings, with no photo.\n\n"
        "The picture may have any size and shape, and with --tileable its edges fit together.",
    ),
    "sheet": (
        "impasto.cli.sheet:app",
        "Make a contact sheet: photos × styles, or options over ranges.\n\n"
        "What there are several of makes the rows, then the columns: photos, styles, and each "
        "option that is varied; two of these at the most. The same command again goes on with a "
        "sheet that was interrupted, and makes only what is missing of one that has grown.",
    ),
    "plan": (
        "impasto.cli.plan:plan",
        "Tell what a run would take: levels, tiles, memory and time.",
    ),
    "reconstruct": (
        "impasto.cli.reconstruct:app",
        "See what layers know: pictures rebuilt from content or style alone.",
    ),
    "export": (
        "impasto.cli.export:export",
        "Write a transfer network as one ONNX file, for programs that have no torch.\n\n"
        "Height and width of pictures are free. The file is checked against torch before it gets "
        "its name; docs/networks.md says how to use it.",
    ),
    "collect": (
        "impasto.cli.collect:collect",
        "Gather pictures from web sites, feeds and open collections.",
    ),
    "prepare": (
        "impasto.cli.prepare:prepare",
        "Prepare a folder of pictures: upright, sRGB, cut, resized; the bad ones left out.\n\n"
        "What a run has done stays done: the same command goes on where it was interrupted. The "
        "folder itself is only read.",
    ),
    "try": (
        "impasto.cli.try_:try_",
        "Try random pairs of photos and paintings, small, and lay them out as a table.\n\n"
        "Pairs that are done stay done: the same command goes on where it was interrupted, and "
        "with a larger --count it adds to them.",
    ),
    "train": (
        "impasto.cli.train:train",
        "Train a network that repaints photos in one pass.\n\n"
        "It knows the styles named here or, with --any, takes any style from its picture. Ctrl-C "
        "keeps a checkpoint, from which --resume goes on to the same network.",
    ),
    "network": ("impasto.cli.show:network", "Show what a trained network is, and how it was made."),
    "serve": ("impasto.cli.serve:serve", "Open the studio: impasto in the browser."),
    "compare": (
        "impasto.cli.compare:compare",
        "Measure results by numbers: style, content, colours, edges, noise and borders.\n\n"
        "Photo and paintings come from the settings inside each picture unless --content and "
        "--style name them; measures that need one that is not known are shown as –. Less is "
        "nearer, but for edges: there more is. Clean pictures have noise up to about 1, and border "
        "up to about 1.5.",
    ),
    "styles": ("impasto.cli.styles:app", "List and draw the built-in style pictures."),
    "model": ("impasto.cli.show:model", "Show a network's layers, or what they see in a picture."),
    "presets": ("impasto.cli.show:presets", "Show the presets, their sources and settings."),
    "weights": ("impasto.cli.weights:app", "List, get, add, verify and remove network weights."),
    "info": ("impasto.cli.show:info", "Show versions, device, threads and weights."),
}
for _name, (_target, _help) in _COMMANDS.items():
    app.command(_target, name=_name, help=_help)


started: float | None = None
"""When the process began, by `time.monotonic`: a run's time counts from there. `None` where a
program calls `main`."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line.

    Args:
        arguments: without the program's name; by default those of the process.

    Returns:
        The exit code: 0, 1 for a failed run, 2 for bad input, 130 after Ctrl-C.
    """
    # Where standard output or error is closed, what is said goes nowhere.
    sys.stdout = sys.stdout or _nowhere()
    sys.stderr = sys.stderr or _nowhere()
    # File names need not be valid text, nor every letter known to the terminal.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        Path.cwd()
    except OSError:
        return _fail("the current folder no longer exists; change to another one", EXIT_BAD_INPUT)
    try:
        code = app(arguments, exit_on_error=False, print_error=False, result_action="return_value")
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except MissingArgumentError as error:
        where = " ".join(["impasto", *(error.command_chain or ())])
        what = error.argument.name if error.argument is not None else "an argument"
        return _fail(f"{what} is missing; see {where} --help", EXIT_BAD_INPUT)
    except UnusedCliTokensError as error:
        where = " ".join(["impasto", *(error.command_chain or ())])
        extra = " ".join(error.unused_tokens or ())
        return _fail(f"'{one_line(extra)}' is too much; see {where} --help", EXIT_BAD_INPUT)
    except UnknownOptionError as error:
        return _fail(_unknown(error), EXIT_BAD_INPUT)
    except CycloptsError as error:
        return _fail(" ".join(str(error).split()), EXIT_BAD_INPUT)
    except ImpastoError as error:
        return _fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        return _fail("interrupted", EXIT_INTERRUPTED)
    except BrokenPipeError:
        # The reader of a pipe has gone: leave quietly.
        _abandon(sys.stdout)
        return 1
    except MemoryError:
        return _fail("out of memory; choose smaller pictures or a smaller --size", 1)
    except OSError as error:
        _abandon(sys.stdout)
        what = error.filename or "standard output"
        return _fail(f"{what}: {error.strerror or error}; check that it can be used", 1)


def _unknown(error: UnknownOptionError) -> str:
    """The line for an option that a command does not have.

    A likely slip of the pen is named; not so for an option of other commands, which is none.
    """
    from dataclasses import fields
    from difflib import get_close_matches

    from impasto.cli.running import Output
    from impasto.options import StyleOptions

    flag = (error.token.keyword or error.token.value).partition("=")[0]
    where = " ".join(["impasto", *(error.command_chain or ())])
    elsewhere = {
        *StyleOptions.model_fields,
        *(field.name for field in fields(Output)),
        "start_image",
    }
    known = [name for found in error.argument_collection for name in found.names]
    plain = flag.removeprefix("--").removeprefix("no-").replace("-", "_")
    near = [] if plain in elsewhere else get_close_matches(flag, known, n=1)
    meant = f"; did you mean {near[0]}?" if near else f"; see {where} --help"
    return f"{flag}: {where} has no such option{meant}"


def say(text: str) -> None:
    """A line on standard error; what cannot be said there stops no run."""
    with contextlib.suppress(OSError):
        print(text, file=sys.stderr)


def _fail(message: str, code: int) -> int:
    say(f"impasto: {one_line(message)}")
    return code


def _nowhere() -> TextIO:
    return open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123  lives as long as Python


def _abandon(stream: TextIO) -> None:
    """Leaves the interpreter nothing to flush into a stream that takes no more."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
