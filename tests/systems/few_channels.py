"""Write the tests' network of few channels as a file of weights, for ``record.py`` to read.

python -m tests.systems.few_channels SMALL.h5
"""

import sys

import h5py
import numpy as np

from tests.networks import contents


def main(path: str) -> None:
    small = contents()
    with h5py.File(path, "w") as file:
        for name, layer in small.layers.items():
            file[f"{name}/kernel"], file[f"{name}/bias"] = layer.kernel, layer.bias
        file.attrs["channel_order"] = np.bytes_(small.channel_order)
        for name in ("scale", "mean", "std"):
            file.attrs[name] = getattr(small, name)


if __name__ == "__main__":
    main(sys.argv[1])
