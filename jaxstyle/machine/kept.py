"""A cache with a bound on its number and bytes, which drops what was not used for longest."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Any, Generic, TypeVar

Value = TypeVar("Value")


class Kept(Generic[Value]):
    """Values by key, of which the least recently used are dropped; usable from several threads.

    Args:
      most: number of values to keep at most.
      most_bytes: bytes to keep at most. The last value is kept even if it is larger by itself.
      size: function that returns the bytes of a value.

    Attributes:
      dropped: number of values that were dropped so far to make room for others.
    """

    def __init__(self, most: int, most_bytes: int, size: Callable[[Value], int]):
        self.most, self.most_bytes, self.size = most, most_bytes, size
        self.dropped = 0
        self._values: OrderedDict[Hashable, tuple[Value, int]] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._values)

    @property
    def bytes(self) -> int:
        """The bytes of all values."""
        return sum(size for _, size in self._values.values())

    def get(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """Return the value of a key, making and keeping it if there is none."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                return self._values[key][0]
        value = make()  # not locked: other threads need their values meanwhile
        with self._lock:  # where two threads have made one, both get the first
            value, _ = self._values.setdefault(key, (value, self.size(value)))
            self._values.move_to_end(key)
            while len(self) > 1 and (len(self) > self.most or self.bytes > self.most_bytes):
                self._values.popitem(last=False)
                self.dropped += 1
        return value

    def drop(self, which: Callable[[Any], bool] = lambda key: True) -> None:
        """Drop the values of some keys, by default of all."""
        with self._lock:
            for key in filter(which, list(self._values)):
                del self._values[key]
