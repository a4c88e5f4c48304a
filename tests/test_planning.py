"""Plans: what they promise is what the run does."""

import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
from torch import Tensor

from impasto import planning
from impasto.cli import main
from impasto.features import Features
from impasto.levels import Level, plan_levels
from impasto.memory import BASE_BYTES, Budget
from impasto.objective import Objective, Terms
from impasto.options import make_options
from impasto.planning import Plan, make_plan
from impasto.run import stylization
from stand_ins import narrow_weights, options_of

GB = 10**9


@pytest.fixture(scope="module")
def features() -> Features:
    """A narrow network with the layers that the defaults match."""
    return Features(narrow_weights(width=2))


def plan_of(features: Features, width: int, height: int, budget: int, **values: object) -> Plan:
    """A plan of the default options, changed."""
    options = make_options(values)
    return make_plan(features, options, plan_levels(options, width, height), Budget(budget))


def test_levels_and_evaluations_are_those_of_the_run(files: tuple[Path, Path]) -> None:
    """A plan names every level that the run then goes through, with its evaluations."""
    run = stylization(*files, options_of(single_level=False, levels="12:2,24:3"))
    plan = run.plan()
    seen: dict[tuple[int, int], int] = {}
    for progress in run:
        seen[progress.width, progress.height] = progress.evaluation
    assert seen == {
        (part.level.width, part.level.height): part.level.evaluations for part in plan.levels
    }


def test_a_print_is_planned_in_tiles(features: Features) -> None:
    """An A3 print within 6 GB: large levels are shallow and in tiles, small ones whole, and more
    memory means fewer tiles."""
    plan = plan_of(features, 4961, 3508, 6 * GB)
    assert [part.level.anchored for part in plan.levels] == [False] * 4 + [True] * 2
    assert [part.tiles == 1 for part in plan.levels[:4]] == [True] * 4
    last = plan.levels[-1]
    assert last.tiles > 1
    assert last.tiles * last.tile[0] * last.tile[1] > 4961 * 3508
    assert BASE_BYTES < plan.expected_bytes <= plan.budget == 6 * GB
    assert plan_of(features, 4961, 3508, 12 * GB).levels[-1].tiles < last.tiles


def test_time_grows_with_the_work(features: Features, monkeypatch: pytest.MonkeyPatch) -> None:
    """More evaluations and more pixels are expected to take longer, a time limit cuts them off."""
    evaluate, now = Objective.evaluate, [0.0]

    def timed(self: Objective, picture: Tensor) -> tuple[Terms, Tensor]:
        now[0] += 1e-3 + 1e-6 * picture.shape[-2] * picture.shape[-1]
        return evaluate(self, picture)

    monkeypatch.setattr(Objective, "evaluate", timed)
    monkeypatch.setattr(planning, "time", SimpleNamespace(monotonic=lambda: now[0]))
    seconds = [plan_of(features, 200, 150, GB, evaluations=n).seconds for n in (10, 100)]
    assert seconds[1] > 3 * seconds[0]
    parts = plan_of(features, 1200, 900, 8 * GB).levels
    assert parts[-1].seconds > parts[0].seconds
    assert plan_of(features, 1200, 900, 8 * GB, time_limit=1e-3).seconds < 0.1


def test_every_picture_to_match_takes_time(
    features: Features, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Photo and paintings are each a third of an evaluation, at the levels that match them."""
    monkeypatch.setattr(planning, "_probe", lambda *_, **__: (1.0, 0.0))
    options = make_options({"size": 200, "evaluations": 9, "single_level": True})
    levels = plan_levels(options, 200, 150)

    def evaluations(photo: bool, paintings: int, levels: Sequence[Level] = levels) -> float:
        plan = make_plan(features, options, levels, Budget(GB), photo=photo, paintings=paintings)
        return plan.seconds / (1 + planning.MINIMIZER_SHARE)

    assert evaluations(photo=True, paintings=1) == pytest.approx(9 + 2 / 3)
    assert evaluations(photo=True, paintings=4) == pytest.approx(9 + 5 / 3)
    assert evaluations(photo=False, paintings=1) == pytest.approx(9 + 1 / 3)
    anchored = [Level(200, 150, 9, anchored=True)]
    assert evaluations(True, 2, anchored) == evaluations(False, 2, anchored)
    assert make_plan(features, options, [], Budget(GB)).expected_bytes == 0


def test_plan_tells_levels_tiles_memory_and_time(
    files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """`impasto plan` prints a line per level and their sum, or the same as JSON."""
    arguments = ["plan", *map(str, files), "--size", "300", "--memory", "2GB"]
    assert main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("px")[0].strip() for line in lines[1:-1]] == ["150 x 112", "300 x 225"]
    assert lines[-1].endswith("of the 2.0 GB that the run may take")
    assert main([*arguments, "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert [part["width"] for part in record["levels"]] == [150, 300]
    assert record["budget_bytes"] == 2 * GB
    assert record["seconds"] == pytest.approx(sum(p["seconds"] for p in record["levels"]), abs=0.01)


def test_a_plan_refuses_what_the_run_would(
    files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """A missing photo or flags that exclude each other are one line and code 2."""
    assert main(["plan", "gone.png", str(files[1])]) == 2
    assert main(["plan", *map(str, files), "--print", "a4", "--size", "100"]) == 2
    assert main(["plan", *map(str, files), "--print", "a99"]) == 2
    assert capsys.readouterr().err.count("\n") == 3


def test_a_budget_below_the_least_is_a_warning(
    files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before its plan a run says, quiet or not, that it takes more than `--memory`, and goes on."""
    arguments = ["stylize", *map(str, files), "--size", "24", "--memory", "50MB", "-o"]
    assert main([*arguments, str(tmp_path / "a.png")]) == 0
    first, second = capsys.readouterr().err.splitlines()[:2]
    assert first.startswith("impasto: warning: --memory: the run takes at least 0.65 GB, more than")
    assert second.startswith("plan: ")
    assert main([*arguments, str(tmp_path / "b.png"), "-q"]) == 0
    assert capsys.readouterr().err == f"{first}\n"


def test_a_run_is_compared_with_its_plan(
    files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The run begins with its plan in one line and ends with both figures; JSON has them too."""
    arguments = ["stylize", *map(str, files), "--levels", "12:1,24:2", "-o"]
    assert main([*arguments, str(tmp_path / "a.png")]) == 0
    out, err = capsys.readouterr()
    assert err.startswith("plan: 12 x 9, 24 x 18 px; about ")
    assert "; planned " in out
    assert ", used " in out
    assert main([*arguments, str(tmp_path / "b.png"), "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["plan"]["seconds"] > 0
    assert summary["peak_bytes"] > 10**7
