"""A painter whose network is a narrow random one, as a program of its own.

The environment may slow its evaluations down, and keep its checkpoints close together:
`NARROW_PAUSE` and `NARROW_EVERY`, seconds. As long as there is a file of the name `NARROW_HOLD`, no
job comes to its end: its last evaluation waits.
"""

import os
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from impasto import features, planning
from impasto.objective import Objective
from impasto.web import painter
from stand_ins import narrow_weights


def main() -> None:
    """Paints until the server is gone."""
    weights, evaluate = narrow_weights(), Objective.evaluate
    pause = float(os.environ.get("NARROW_PAUSE", "0"))
    hold = os.environ.get("NARROW_HOLD")
    step, is_last = painter.Painter.evaluate, [False]

    def known(self: painter.Painter, run: Any) -> Any:
        last = run.last
        is_last[0] = last is not None and last.done + 1 == sum(
            level.evaluations for level in last.levels
        )
        return step(self, run)

    def slowly(self: Objective, picture: Any) -> Any:
        while is_last[0] and hold and Path(hold).exists():
            time.sleep(0.01)
        time.sleep(pause)
        return evaluate(self, picture)

    features.load_weights = lambda _: weights
    planning._probe = lambda *_, **__: (1e-3, 1e-6)
    Objective.evaluate = slowly
    painter.Painter.evaluate = known
    every = os.environ.get("NARROW_EVERY")
    if every is not None:
        painter.CHECKPOINT_EVERY = float(every)
        painter.CHECKPOINT_SHARE = 1.0
    painter.main()


if __name__ == "__main__":
    main()
