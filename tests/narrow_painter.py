"""A painter whose network is a narrow random one, as a program of its own.

The environment may slow its evaluations down, and keep its checkpoints close together:
`NARROW_PAUSE` and `NARROW_EVERY`, seconds.
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

    def slowly(self: Objective, picture: Any) -> Any:
        time.sleep(pause)
        return evaluate(self, picture)

    features.load_weights = lambda _: weights
    planning._probe = lambda *_, **__: (1e-3, 1e-6)
    Objective.evaluate = slowly
    every = os.environ.get("NARROW_EVERY")
    if every is not None:
        painter.CHECKPOINT_EVERY = float(every)
        painter.CHECKPOINT_SHARE = 1.0
    painter.main()


if __name__ == "__main__":
    main()
