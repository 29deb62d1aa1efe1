"""The settings of a clip beside those of its frames, which are runs: how frames hold together."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from jaxstyle import presets
from jaxstyle.errors import SettingError, did_you_mean
from jaxstyle.settings.checks import MAX_STEPS, WEIGHT, Bounds

MOST_EARLIER = 8
"""Number of earlier frames that a frame may be compared with."""


def _setting(default: Any, help: str, flag: str = "") -> Any:
    metadata = {"help": help, "choices": (), "metavar": "", "flag": flag}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class ClipSettings:
    """How the frames of a clip hold together; ``resolve_clip`` makes one.

    Each field is a flag of the command ``video``.
    """

    temporal_weight: float = _setting(
        50.0,
        "weight of the temporal loss, which holds a frame to earlier results where the flow "
        "between them is reliable",
    )
    earlier_frames: tuple[int, ...] = _setting(
        (1,),
        "earlier frames that a frame is compared with: 1,2,4 also holds what comes back from "
        "behind something",
        flag="--history",
    )
    later_steps: int = _setting(
        8, "optimizer steps of a frame that starts from the frame before, at the final size"
    )
    passes: int = _setting(
        1,
        "number of times that all frames are gone through, forward and backward in turn, for "
        "strong motion; the temporal loss counts in the second half of them",
    )

    def weight_in(self, number: int) -> float:
        """Return the temporal weight in a pass, counted from 1."""
        return self.temporal_weight if number > self.passes // 2 else 0.0


BOUNDS = {
    "temporal_weight": WEIGHT,
    "earlier_frames": Bounds(1, 1000, whole=True),
    "later_steps": Bounds(0, MAX_STEPS, whole=True),
    "passes": Bounds(1, 1000, whole=True),
}


def resolve_clip(preset: str = "default", **given: Any) -> ClipSettings:
    """Return checked settings of a clip: those of a preset, overridden by those given.

    Args:
      preset: a name in ``PRESETS`` or ``ALIASES`` that ``jaxstyle.settings.resolve`` has accepted.
      **given: values by field of `ClipSettings`; one number where several are allowed.

    Raises:
      SettingError: a setting is unknown, or has a value that cannot be used.
    """
    known = [each.name for each in fields(ClipSettings)]
    for name in given:
        if name not in known:
            raise SettingError(name, f"no such setting{did_you_mean(name, known)}")
    of_preset: Mapping[str, Any] = presets.PRESETS[presets.ALIASES.get(preset, preset)].clip
    chosen = {**of_preset, **given}
    return ClipSettings(**{name: _clean(name, value) for name, value in chosen.items()})


def _clean(name: str, value: Any) -> Any:
    if name != "earlier_frames":
        return BOUNDS[name](name, value)
    each = value if isinstance(value, tuple | list) else (value,)
    found = sorted({BOUNDS[name](name, number) for number in each})
    if not 1 <= len(found) <= MOST_EARLIER:
        raise SettingError(name, f"needs 1 to {MOST_EARLIER} different numbers, not {len(found)}")
    if found[0] != 1:
        raise SettingError(name, "must have 1 among them: a frame starts from the one before")
    return tuple(found)
