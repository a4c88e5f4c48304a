"""Fixtures that several test modules share."""

import logging
import os
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from torch import Tensor

    from impasto.objective import Terms
    from impasto.weights import Weights

# Set before torch loads, here and in every process that a test starts: sums then have one order on
# every machine, and tests that run side by side do not fight for cores.
os.environ["OMP_NUM_THREADS"] = "1"

# Tests that load onnxruntime themselves are nobody's business either; see `impasto.onnx_sessions`.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

# A busy machine may take long over any example; that is no fault of what is tested. Where nothing
# may be left out, examples are the same each time, so that what fails is a change and not a find.
settings.register_profile(
    "patient",
    settings(),
    deadline=None,
    derandomize="IMPASTO_LEAVE_NOTHING_OUT" in os.environ,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("patient")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where nothing may be left out, what misses a program fails; elsewhere it is skipped."""
    report = yield
    if report.skipped and "IMPASTO_LEAVE_NOTHING_OUT" in os.environ:
        *_, reason = report.longrepr if isinstance(report.longrepr, tuple) else (report.longrepr,)
        if "not installed" in str(reason):
            report.outcome, report.longrepr = "failed", f"left out: {reason}"
    return report


@pytest.fixture
def make_png(tmp_path: Path) -> Callable[..., Path]:
    """Writes a soft picture to a file: `make_png(name, width, height, seed)`."""
    from PIL import Image

    from stand_ins import soft_picture

    def make(name: str, width: int, height: int, seed: int = 0) -> Path:
        path = tmp_path / name
        Image.fromarray(soft_picture(width, height, seed)).save(path)
        return path

    return make


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> "Weights":
    """Every network that is loaded by name is a narrow random one: runs take milliseconds.

    Plans take no probe, so that the evaluations of a test are those of its run.
    """
    from impasto import features, planning
    from stand_ins import narrow_weights

    weights = narrow_weights()
    monkeypatch.setattr(features, "load_weights", lambda _: weights)
    monkeypatch.setattr(planning, "_probe", lambda *_, **__: (1e-3, 1e-6))
    return weights


@pytest.fixture
def files(narrow: "Weights", make_png: Callable[..., Path]) -> tuple[Path, Path]:
    """A photo and a painting; the network is a narrow one."""
    return make_png("photo.png", 40, 30, 1), make_png("painting.png", 36, 36, 2)


@pytest.fixture(autouse=True)
def _loggers_as_before() -> Generator[None, None, None]:
    """The studio's log ends with its test, as does the standard error that it goes to."""
    loggers = [logging.getLogger(name) for name in ("impasto", "uvicorn")]
    before = [(one, one.handlers, one.propagate, one.level) for one in loggers]
    yield
    for one, handlers, propagate, level in before:
        one.handlers, one.propagate = handlers, propagate
        one.setLevel(level)


Failing = Callable[[int, type[BaseException]], None]


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Failing:
    """`failing(n, error)` raises the error once, at the n-th evaluation from now on."""
    from impasto.objective import Objective

    evaluate = Objective.evaluate

    def fail(at: int, error: type[BaseException]) -> None:
        count = [0]

        def counted(self: Objective, picture: "Tensor") -> "tuple[Terms, Tensor]":
            count[0] += 1
            if count[0] == at:
                raise error
            return evaluate(self, picture)

        monkeypatch.setattr(Objective, "evaluate", counted)

    return fail


Interrupting = Callable[[int, bool, Callable[[], None]], AbstractContextManager[None]]


@pytest.fixture
def interrupting(monkeypatch: pytest.MonkeyPatch) -> Interrupting:
    """Has `stop`, which raises, called right after the n-th evaluation of a run: before the run
    knows that it is done, or, where `told`, once it does: `with interrupting(n, told, stop):`."""
    from impasto import run
    from impasto.optimize import Progress, optimize

    following = run.Stylization.__next__

    @contextmanager
    def interrupt(at: int, told: bool, stop: Callable[[], None]) -> Generator[None]:
        def broken_off(*given: Any, **named: Any) -> Generator[Progress]:
            for progress in optimize(*given, **named):
                if progress.done == at:
                    stop()
                yield progress

        def unheard(run: run.Stylization) -> Progress:
            progress = following(run)
            if progress.done == at:
                stop()
            return progress

        with monkeypatch.context() as patch:
            if told:
                patch.setattr(run.Stylization, "__next__", unheard)
            else:
                patch.setattr(run, "optimize", broken_off)
            yield

    return interrupt
