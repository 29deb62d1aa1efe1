"""``--profile DIR``: a trace of where the time of a run goes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import jax

from jaxstyle import images
from jaxstyle.errors import ImageError


def check_profile(directory: Path) -> None:
    """Raise ImageError if a trace could not be written there; leave nothing behind."""
    if directory.exists() and not directory.is_dir():
        raise ImageError(f"{directory}: is a file, and --profile needs a directory")
    images.check_directory(directory / "trace" if directory.exists() else directory)


@contextmanager
def profiled(
    directory: Path | None, tell: Callable[[str], None], lost: Callable[[str], None]
) -> Iterator[None]:
    """Write a trace of the block to ``directory``, unless None, also if the block fails.

    Args:
      directory: where to write it.
      tell: prints a line for the user.
      lost: called with the reason if it cannot be written.
    """
    if directory is None:
        yield
        return
    options = jax.profiler.ProfileOptions()
    options.python_tracer_level = 0  # traced Python calls would make the file ten times as large
    jax.profiler.start_trace(directory, profiler_options=options)
    try:
        yield
    finally:
        try:
            jax.profiler.stop_trace()
        except Exception as error:
            lost(f"{directory}: the trace cannot be written: {error}")
        traces = sorted(directory.glob("plugins/profile/*/*.trace.json.gz"))
        for path in traces[-1:]:  # their folders are named by date
            tell(f"{path}: open it at https://ui.perfetto.dev, or 'xprof {directory}' for more")
