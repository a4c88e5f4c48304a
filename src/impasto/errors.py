"""The faults a user can meet.

Every one of them carries a single line that names the file or option, says what was wrong with
it, and what to do about it; front ends print that line and leave with `exit_code`.

    ImpastoError                exit code
    ├── InputError              2   what the user gave cannot be used
    │   ├── OptionError             an option's value, or two options that exclude each other
    │   ├── ImageError              a picture that cannot be read
    │   │   ├── TooLargeError           one with more pixels than are allowed
    │   │   └── HeicError               one as phones take them, which few can decode
    │   ├── CheckpointError         a checkpoint that is damaged, foreign or of another run
    │   └── WeightsError            a weights file or variant that is missing, damaged or unknown
    ├── OutputError             1   the result cannot be written
    └── RunError                1   the run itself failed, as where memory runs out
        └── NotFiniteError          its loss is not finite even at the start
"""

from typing import Literal

OptionReason = Literal[
    "unknown",
    "too_small",
    "too_large",
    "above",
    "below",
    "out_of_range",
    "not_one_of",
    "no_number",
    "no_whole_number",
    "no_switch",
    "no_text",
    "form",
    "no_layer",
    "twice",
    "excludes",
    "needs",
    "needs_picture",
    "counts",
    "too_many",
    "hosts",
    "textures",
    "pictures",
    "too_long",
]
"""What is usually wrong with an option, as a key for translations."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, in the words of the CPU, of CUDA or of MPS."""
    words = "not enough memory", "can't allocate memory", "out of memory", "STATUS_ALLOC_FAILED"
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and any(word in str(error) for word in words)
    )


def one_line(text: str) -> str:
    """`text` with every character that does not print written as its escape."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class ImpastoError(Exception):
    """Base of every fault that impasto reports on purpose; `str()` is one line for the user."""

    exit_code = 1

    def __str__(self) -> str:
        # File names and what other programs wrote may hold line breaks and terminal commands.
        return one_line(super().__str__())


class InputError(ImpastoError):
    """Something the user gave cannot be used."""

    exit_code = 2


class OptionError(InputError):
    """An option has a value that is not allowed, or excludes another one.

    Args:
        message: the line for the user.
        reason: what is wrong; `None` where it is too rare to be translated.
        values: what a translation tells besides: numbers, texts and, as `other`, the name of
            another option.
    """

    def __init__(
        self, message: str, reason: OptionReason | None = None, **values: str | float
    ) -> None:
        super().__init__(message)
        self.reason: OptionReason | None = reason
        self.values = values


class ImageError(InputError):
    """A picture is missing, damaged, empty, too large or in an unknown format."""


class TooLargeError(ImageError):
    """A picture announces more pixels than may be decoded."""


class HeicError(ImageError):
    """A HEIC picture that is damaged, or for which the installed libvips has no decoder of HEVC."""


class CheckpointError(InputError):
    """A checkpoint is missing, damaged, of a later version, or its run's pictures have changed."""


class WeightsError(InputError):
    """Model weights are missing, damaged, not recognised or of another architecture."""


class OutputError(ImpastoError):
    """A result cannot be written: the file exists, the folder is missing, the disk is full."""


class RunError(ImpastoError):
    """A run could not go on; what had been reached until then is kept where there is any."""


class NotFiniteError(RunError):
    """The loss of a run is infinite or no number even at its start picture."""
