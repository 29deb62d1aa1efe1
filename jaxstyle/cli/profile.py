"""--profile DIR: a trace of the run, for those who want to know where its time goes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import jax

from jaxstyle import images
from jaxstyle.errors import ImageError


def check_profile(directory: Path) -> None:
    """Raises ImageError where no trace could be written; leaves nothing behind."""
    if directory.exists() and not directory.is_dir():
        raise ImageError(f"{directory}: is a file, and --profile needs a directory")
    images.check_directory(directory / "trace" if directory.exists() else directory)


@contextmanager
def profiled(directory: Path | None, tell: Callable[[str], None]) -> Iterator[None]:
    """A trace of the block in ``directory``, if there is one, even if it ends early."""
    if directory is None:
        yield
        return
    options = jax.profiler.ProfileOptions()
    options.python_tracer_level = 0  # every call of Python's would be ten times all the rest
    try:
        with jax.profiler.trace(directory, profiler_options=options):
            yield
    finally:
        traces = sorted(directory.glob("plugins/profile/*/*.trace.json.gz"))
        for path in traces[-1:]:  # their folders are named by date
            tell(f"{path}: open it at https://ui.perfetto.dev, or 'xprof {directory}' for more")
