"""What loads when: importing and asking for help cost nothing heavy; modules keep their order."""

import subprocess
import sys
from pathlib import Path

import pytest

import impasto

HEAVY: tuple[str, ...] = (
    "torch",
    "pyvips",
    "matplotlib",
    "pydantic",
    "numpy",
    "safetensors",
    "rich.progress",
    "llvmlite",
    "av",
    "cv2",
)


def loaded_after(code: str) -> set[str]:
    """Which heavy modules are loaded in a fresh Python after some code."""
    script = f"import sys\n{code}\nprint('\\n' + ' '.join(sys.modules), file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=600
    )
    return set(HEAVY) & set(done.stderr.splitlines()[-1].split())


def test_importing_the_package_loads_nothing_heavy() -> None:
    """`import impasto` is free: torch and the like load when a name is first used."""
    assert loaded_after("import impasto") == set()


@pytest.mark.parametrize(
    ("arguments", "allowed"),
    [
        (["--help"], set()),
        (["--version"], set()),
        (["stylize", "--help"], {"pydantic"}),
        (["reconstruct", "content", "--help"], {"pydantic"}),
        (["collect", "--help"], {"pydantic"}),
        (["prepare", "--help"], {"pydantic"}),
        (["try", "--help"], {"pydantic"}),
        (["train", "--help"], {"pydantic"}),
        (["video", "--help"], {"pydantic"}),
        (["live", "--help"], {"pydantic"}),
        (["presets"], {"pydantic"}),
        (["stylize"], {"pydantic"}),
    ],
)
def test_help_loads_no_engine(arguments: list[str], allowed: set[str]) -> None:
    """Help, presets and a mistake in the arguments answer without torch, pyvips or matplotlib."""
    found = loaded_after(f"from impasto.cli import main\nmain({arguments!r})")
    assert not found & {"torch", "pyvips", "matplotlib", "safetensors", "numpy"}
    assert found <= allowed


def test_the_engine_loads_no_figures() -> None:
    """Running needs neither matplotlib nor, before a bar is drawn, rich's."""
    assert "matplotlib" not in loaded_after("import impasto.run")


def test_public_names_are_there() -> None:
    """Every name that the package promises exists, and others are refused as Python does."""
    for name in impasto.__all__:
        assert getattr(impasto, name) is not None
    assert set(impasto.__all__) <= set(dir(impasto))
    with pytest.raises(AttributeError, match="module 'impasto' has no attribute 'paint'"):
        impasto.paint  # noqa: B018  # pyright: ignore[reportAttributeAccessIssue]


def test_modules_import_only_from_lines_above_their_own() -> None:
    """The order of modules that the project file states holds."""
    pytest.importorskip("importlinter.cli")
    root = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()"],
        capture_output=True,
        text=True,
        cwd=root,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
