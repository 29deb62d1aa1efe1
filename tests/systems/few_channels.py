"""Write the tests' network of few channels as a file of weights, for ``record.py`` to read.

python -m tests.systems.few_channels SMALL.h5
"""

import sys

import h5py
import numpy as np

from tests.conftest import small_arrays


def main(path: str) -> None:
    with h5py.File(path, "w") as file:
        for name, (kernel, bias) in small_arrays().items():
            file[f"{name}/kernel"], file[f"{name}/bias"] = kernel, bias
        file.attrs["channel_order"] = np.bytes_("BGR")
        file.attrs["scale"] = 255.0
        file.attrs["mean"] = (103.939, 116.779, 123.68)
        file.attrs["std"] = (58.0, 58.0, 58.0)


if __name__ == "__main__":
    main(sys.argv[1])
