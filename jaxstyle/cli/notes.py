"""Notes for the user before a run, which are not errors."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from jaxstyle import images
from jaxstyle.cli.common import Tell
from jaxstyle.cli.flags import flag
from jaxstyle.images import Picture
from jaxstyle.network.weights import Loaded
from jaxstyle.presets import PRESETS
from jaxstyle.runs.preprocessing import picture_notes
from jaxstyle.runs.recipe import Recipe
from jaxstyle.settings import Settings
from jaxstyle.settings.effect import Idle, check_effects
from jaxstyle.settings.text import flags_of


def network_note(settings: Settings, loaded: Loaded) -> Iterator[str]:
    """Yield a note if the preset was published for another kind of VGG-19 than the one loaded.

    There is none if the preset suits any network, or if the settings are its known equivalent.
    """
    preset = PRESETS[settings.preset]
    kind = "normalized" if loaded.weights.normalized else "original"
    if preset.network in (kind, "any"):
        return
    remedy = "the weights of its losses will have another effect"
    equivalent = {
        name: value
        for name, value in preset.equivalent.items()
        if settings.content_weight or not name.startswith("content")
    }
    if equivalent:
        if all(getattr(settings, name) == value for name, value in equivalent.items()):
            return
        remedy = f"for about the same effect add {flags_of(equivalent)}"
    elif kind == "original":
        remedy = "python -m convert_weights --normalize makes it so"
    yield (
        f"note: preset {settings.preset} is meant for the {preset.network} VGG-19, and "
        f"{loaded.path.name} is {'' if kind == 'normalized' else 'not '}normalized: {remedy}"
    )


def tell_of_weights(job: Recipe, loaded: Loaded, tell: Tell) -> None:
    """Tell if the weights are others than a recipe's, or another kind than the preset's."""
    if job.weights_sha256 and job.weights_sha256 != loaded.sha256:
        tell("note: the VGG-19 weights differ from those of the original run")
    for note in network_note(job.settings, loaded):
        tell(note)


def tell_notes(notes: Iterable[str], tell: Tell, told: set[str] | None = None) -> None:
    """Tell each note that is not in ``told`` yet, and add it there."""
    told = set() if told is None else told
    for note in notes:
        if note not in told:
            told.add(note)
            tell(f"note: {note}")


def read_pictures(paths: Iterable[str | Path], settings: Settings, tell: Tell) -> list[Picture]:
    """Read pictures, and tell notes on how they and those that the settings name are read.

    Raises:
      ImageError: one cannot be read.
    """
    pictures = [images.read(path) for path in paths]
    notes = [note for picture in pictures for note in picture.notes]
    tell_notes([*notes, *picture_notes(settings)], tell)
    return pictures


def idle_notes(runs: Sequence[Settings], given: Iterable[str], styles: int) -> list[str]:
    """Return notes about given settings that have no effect: see ``check_effects``.

    Raises:
      SettingError: one contradicts the others.
    """
    return as_notes(check_effects(runs, given, styles))


def as_notes(found: Iterable[Idle]) -> list[str]:
    """Return notes about settings that have no effect."""
    return [f"{flag(name)} {problem}" for name, problem in found]
