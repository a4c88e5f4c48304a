"""Photographs that come with the package, to try a style without a photo of one's own.

All are CC0 or in the public domain; `SOURCES.md` in this folder names the photographers and terms.
"""

from pathlib import Path

from impasto.errors import OptionError

DEMO_PHOTO = "cat"
"""The photo that shows a style best: fur, a smooth background and two eyes that everyone knows."""

_DESCRIPTIONS = {
    "astronaut": "portrait of the astronaut Eileen Collins (NASA, public domain)",
    "cat": "the cat Chelsea, face to face (Stéfan van der Walt, CC0)",
    "coffee": "an espresso on a wooden table (Rachel Michetti, CC0)",
    "rocket": "Falcon 9 on its pad at dusk (SpaceX, public domain)",
}


def sample_names() -> list[str]:
    """Names of the sample photos, in alphabetical order."""
    return sorted(_DESCRIPTIONS)


def describe_sample(name: str) -> str:
    """One line that says what the photo shows, who took it and under which terms.

    Raises:
        OptionError: there is no such photo.
    """
    if name not in _DESCRIPTIONS:
        raise OptionError(
            f"no sample photo is called {name!r}; choose one of: {', '.join(sample_names())}"
        )
    return _DESCRIPTIONS[name]


def sample_path(name: str) -> Path:
    """Path of a sample photo: a JPEG file in sRGB, long side 451 to 640 px.

    Raises:
        OptionError: there is no such photo.
    """
    describe_sample(name)
    return Path(__file__).with_name(f"{name}.jpg")
