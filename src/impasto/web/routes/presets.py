"""Presets of one's own: settings that a visitor keeps under a name."""

from __future__ import annotations

import dataclasses

from fastapi import APIRouter

from impasto.web.entities import OwnPreset
from impasto.web.forms import check_preset
from impasto.web.routes.asking import IdInPath, StudioHere, VisitorHere, refusals
from impasto.web.schema import OwnPresetIn, OwnPresetOut

MAX_PRESETS = 50
"""Most presets of one visitor."""

router = APIRouter(prefix="/api/presets", tags=["presets"])


@router.get("", responses=refusals(), summary="One's own presets")
def presets(studio: StudioHere, visitor: VisitorHere) -> list[OwnPresetOut]:
    """By name. The built-in ones are in GET /api/options."""
    return [_out(preset) for preset in studio.records.presets(visitor.owner)]


@router.get("/{id}", responses=refusals(404, 422), summary="One preset")
def preset(id: IdInPath, studio: StudioHere, visitor: VisitorHere) -> OwnPresetOut:
    """With the options that differ from the defaults."""
    return _out(studio.records.preset(visitor.owner, id))


@router.put("/{id}", responses=refusals(400, 409, 422), summary="Save a preset")
def save(
    id: IdInPath, wanted: OwnPresetIn, studio: StudioHere, visitor: VisitorHere
) -> OwnPresetOut:
    """Makes it, or takes the place of one's own preset of that id, which is how it is renamed or
    changed. A new one's id is whatever the program chooses, such as 16 random bytes in base64url.
    Its options are checked as a job's are; those of a job's own pictures (`style_weights`,
    `regions`) cannot be among them.
    """
    options = check_preset(wanted.options, studio.options)
    studio.know(visitor.owner)
    kept = studio.records.save_preset(visitor.owner, id, wanted.name, options, limit=MAX_PRESETS)
    return _out(kept)


@router.delete("/{id}", responses=refusals(404, 422), summary="Delete a preset")
def delete(id: IdInPath, studio: StudioHere, visitor: VisitorHere) -> OwnPresetOut:
    """What it was is the answer: saved again, it is back."""
    return _out(studio.records.delete_preset(visitor.owner, id))


def _out(preset: OwnPreset) -> OwnPresetOut:
    return OwnPresetOut(**dataclasses.asdict(preset))
