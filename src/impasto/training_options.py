"""Every option of the training of a transfer network."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from impasto.options import Options


class TrainingOptions(Options):
    """How a transfer network is trained. Frozen; unknown names and values out of range are refused.

    Raises:
        OptionError: in one line, in the words of the options.
    """

    command: ClassVar[str] = "train"

    steps: int = Field(default=8000, ge=1, le=10_000_000, description="Steps in all.")
    time_limit: float | None = Field(
        default=None,
        gt=0,
        allow_inf_nan=False,
        description="Stop after this many seconds, at a step's end; --resume goes on.",
    )
    batch: int = Field(
        default=4, ge=1, le=4096, description="Photos in a step, over all processes."
    )
    side: int = Field(default=128, ge=32, le=1024, description="Side of the photos' crops, px.")
    style_size: int = Field(
        default=256, ge=32, le=2048, description="Long side at which paintings are seen, px."
    )
    width: Literal["standard", "narrow"] = Field(
        default="standard",
        description="Size of the network; narrow repaints with a fifth of the operations.",
    )
    learning_rate: float = Field(default=1e-3, gt=0, le=1, description="Adam's learning rate.")
    content_weight: float = Field(
        default=1.0, ge=0, le=1_000_000, description="Weight of the content term."
    )
    style_weight: float = Field(
        default=5.0, ge=0, le=1_000_000, description="Weight of the style term."
    )
    tv_weight: float = Field(
        default=0.3, ge=0, le=1_000_000, description="Weight of the smoothness term."
    )
    noise: float = Field(
        default=0.05,
        ge=0,
        le=0.5,
        allow_inf_nan=False,
        description="Noise in the photos, a deviation, for strokes where they are flat; 0: none.",
    )
    held_out: int = Field(
        default=8,
        ge=1,
        le=64,
        description="Photos, and of --any paintings, to judge by and never to train on: the first "
        "ones, and no more than a quarter.",
    )
    validate_every: int = Field(default=500, ge=1, description="Steps between validations.")
    patience: int = Field(
        default=0,
        ge=0,
        description="Stop after so many validations with no better network; 0: never.",
    )
    seed: int = Field(default=0, ge=0, lt=2**63, description="Seed of all that is random.")
    device: Literal["auto", "cpu", "cuda", "mps"] = Field(
        default="auto", description="Where to train."
    )
    threads: int | None = Field(
        default=None,
        ge=1,
        le=1024,
        description="CPU threads of each process; by default the cores, shared by the processes.",
    )

    @model_validator(mode="after")
    def _check_together(self) -> TrainingOptions:
        if not self.content_weight and not self.style_weight:
            raise ValueError(
                "--content-weight 0 and --style-weight 0 leave nothing to learn; give one of them "
                "a weight above 0"
            )
        return self
