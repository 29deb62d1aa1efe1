"""One bound, in sum, on what is read of a file: its parts cost time, and its numbers memory.

A bound on each part alone is none: a small file can hold very many parts, or refer to the same part
very often.
"""

from jaxstyle.errors import WeightsError

PARTS = 10_000  # groups, cells, fields, chunks, ...; the published networks have some thousands
NUMBERS = 24_000_000  # the convolutions of VGG-19 have 20 million


class Allowance:
    """What a reader may still read of one file."""

    def __init__(self, parts: int = PARTS, numbers: int = NUMBERS) -> None:
        self.parts = parts
        self.numbers = numbers

    def spend(self, parts: int = 0, numbers: int = 0) -> None:
        """Subtract what is about to be read.

        Raises:
            WeightsError: It is more than is left.
        """
        self.parts -= parts
        self.numbers -= numbers
        if self.parts < 0:
            raise WeightsError("not a VGG-19: it has too many parts (groups, cells, fields, ...)")
        if self.numbers < 0:
            raise WeightsError("not a VGG-19: it holds more numbers than its convolutions have")
