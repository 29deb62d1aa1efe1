"""Cheap cases of a test, run together: one item of pytest costs more than most of them."""

import functools
import inspect
from collections.abc import Callable, Iterable


def for_each(names: str | tuple[str, ...], values: Iterable) -> Callable[[Callable], Callable]:
    """Run a test once for each value of an argument, all as one item; a failure names its case.

    As `pytest.mark.parametrize`, but the cases share their fixtures, and the first failure ends it.
    """
    values = list(values)
    known = (names,) if isinstance(names, str) else names

    def decorate(test: Callable) -> Callable:
        @functools.wraps(test)
        def run(**fixtures):
            for value in values:
                case = dict(zip(known, [value] if isinstance(names, str) else value, strict=True))
                try:
                    test(**fixtures, **case)
                except BaseException as failure:
                    failure.add_note(f"in the case {case!r}")
                    raise

        signature = inspect.signature(test)
        others = [each for name, each in signature.parameters.items() if name not in known]
        run.__signature__ = signature.replace(parameters=others)
        return run

    return decorate
