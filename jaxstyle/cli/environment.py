"""The variables that change JAX and XLA, some of which no command can live with."""

import os
import signal
import warnings
from typing import NoReturn

from jaxstyle.errors import JaxstyleError

PREFIXES = ("JAX_", "XLA_", "LIBTPU_")


def check_xla_flags() -> None:
    """Check the variable XLA_FLAGS: for a mistake in it, XLA ends the process with pages of text.

    It is tried in a fork of this process, in which JAX must not have computed anything yet.

    Raises:
      JaxstyleError: XLA refuses it.
    """
    flags = os.environ.get("XLA_FLAGS", "").strip()
    if not flags or not hasattr(os, "fork"):
        return
    reading, writing = os.pipe()
    with warnings.catch_warnings(action="ignore"):  # about threads, which the child does without
        child = os.fork()
    if not child:
        _try_xla(writing)
    os.close(writing)
    with open(reading, errors="replace") as said:
        first = said.readline().partition("] ")[2].strip()
        while said.read(4096):
            pass
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) in (1, -signal.SIGABRT):
        raise JaxstyleError(f"XLA refuses XLA_FLAGS={flags}: mend it or unset it ({first})")


def _try_xla(errors: int) -> NoReturn:
    """Start XLA with the file descriptor ``errors`` for its messages, and end the process."""
    try:
        import jax

        os.dup2(errors, 2)
        signal.alarm(30)
        jax.config.update("jax_platforms", "cpu")
        jax.devices()
    finally:
        os._exit(0)


def platform_problem() -> str:
    """Return what is wrong with JAX_PLATFORMS, if JAX can start no device of those platforms."""
    wanted = os.environ.get("JAX_PLATFORMS")
    if not wanted:
        return ""
    try:
        import jax
    except Exception:  # for another variable
        return ""
    try:
        jax.devices()
    except Exception:  # each platform raises its own
        return (
            f"JAX finds no device for JAX_PLATFORMS={wanted[:60]}: unset it, or install what that "
            "platform needs (jaxstyle[cuda], jaxstyle[tpu])"
        )
    return ""


def variables() -> str:
    """Return the variables that are set for JAX and XLA, as ``NAME=value, NAME=value``."""
    found = sorted(name for name in os.environ if name.startswith(PREFIXES))
    return ", ".join(f"{name}={os.environ[name][:60]}" for name in found)
