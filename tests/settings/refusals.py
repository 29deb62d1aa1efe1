"""How settings refuse values, of a run or of a clip."""

import pytest

from jaxstyle.errors import SettingError


def refusal(take, name, value):
    """The one line with which a value of a setting is refused, which names the setting.

    Args:
      take: function of a setting and a value; what becomes of the value.
      name: the setting.
      value: the value.
    """
    with pytest.raises(SettingError) as caught:
        pytest.fail(f"{name}={value!r} is taken as {take(name, value)!r}")
    line = str(caught.value)
    assert caught.value.name == name
    assert line.startswith(f"{name}: ")
    assert line.isprintable()
    return line
