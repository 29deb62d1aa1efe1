"""Neural style transfer in PyTorch, from the published formulas, as a baseline for jaxstyle.

It shares no code with jaxstyle and is imported only if PyTorch is needed.

    L(y) = mean (F - P)^2 at relu4_2 + 1e5 sum over relu1_1 ... relu5_1 of mean (G - A)^2,
    G = F F^T / (C H W)

The image y is the network's input: pixels in 0..255 minus the mean color, as in neural-style-pt, so
that learning rates and the first step of L-BFGS have the same meaning as there.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from convert_weights.weights_file import Weights

CONTENT = "conv4_2"
STYLE = ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1")
STYLE_WEIGHT = 1e5
WHITE = 255.0

Optimizer = Literal["adam", "lbfgs"]


class Objective(nn.Module):
    """The loss of a batch of images: the sum of the images' losses.

    Args:
      weights: the network.
      content: content picture, height x width x 3, sRGB in [0, 1].
      style: style picture in the same format.
      device: device of PyTorch.
      expert: use channels-last tensors, with kernels and feature maps in bfloat16, instead of NCHW
        float32.
    """

    def __init__(
        self, weights: Weights, content: np.ndarray, style: np.ndarray, device: str, expert: bool
    ):
        super().__init__()
        self.device, self.expert = torch.device(device), expert
        self.layout = torch.channels_last if expert else torch.contiguous_format
        self.weights, self.names = weights, list(weights.layers)
        self.names = self.names[: self.names.index(STYLE[-1]) + 1]
        for name in self.names:
            kernel, bias = self.convolution(name)
            self.register_buffer(f"{name}_kernel", kernel)
            self.register_buffer(f"{name}_bias", bias)
        with torch.no_grad():
            self.content = self.features(self.pixels(content))[CONTENT].float()
            maps = self.features(self.pixels(style))
            self.grams = {name: gram(maps[name]) for name in STYLE}

    def convolution(self, name: str) -> tuple[Tensor, Tensor]:
        """Return a kernel (output x input x 3 x 3) and bias; the first layer's are for 0..255."""
        layer = self.weights.layers[name]
        kernel = layer.kernel
        if name == self.names[0]:
            gain = self.weights.scale / WHITE / np.asarray(self.weights.std, np.float32)
            kernel = kernel * gain.astype(np.float32)[:, None]
        number = torch.bfloat16 if self.expert else torch.float32
        oihw = torch.tensor(kernel).permute(3, 2, 0, 1).to(self.device, number)
        return oihw.contiguous(memory_format=self.layout), torch.tensor(layer.bias).to(oihw)

    def pixels(self, picture: np.ndarray) -> Tensor:
        """Convert a picture to the network's input, 1 x 3 x height x width."""
        ordered = picture if self.weights.channel_order == "RGB" else picture[..., ::-1]
        seen = WHITE * (ordered - np.asarray(self.weights.mean) / self.weights.scale)
        nhwc = torch.tensor(seen, dtype=torch.float32, device=self.device)[None]
        return nhwc.permute(0, 3, 1, 2).contiguous()  # L-BFGS needs contiguous tensors

    def features(self, image: Tensor) -> dict[str, Tensor]:
        """Compute the feature maps after the ReLU of every convolution."""
        found, image = {}, image.contiguous(memory_format=self.layout)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.expert):
            for name in self.names:
                if name.endswith("_1") and found:
                    image = functional.max_pool2d(image, 2)
                kernel, bias = getattr(self, f"{name}_kernel"), getattr(self, f"{name}_bias")
                image = functional.conv2d(image, kernel, bias, padding=1)
                found[name] = image = functional.relu(image, inplace=True)
        return found

    def forward(self, image: Tensor) -> Tensor:
        """Compute the loss of network inputs, batch x 3 x height x width."""
        maps = self.features(image)
        content = mean_square(maps[CONTENT].float(), self.content)
        style = sum(mean_square(gram(maps[name]), self.grams[name]) for name in STYLE)
        return content + STYLE_WEIGHT * style


def gram(maps: Tensor) -> Tensor:
    """Compute Gram matrices in the precision of the maps, divided by C H W."""
    flat = maps.flatten(2)
    return torch.bmm(flat, flat.mT).float() / maps[0].numel()


def mean_square(a: Tensor, target: Tensor) -> Tensor:
    """Compute the mean squared error of each image, summed over images."""
    return len(a) * functional.mse_loss(a, target.expand_as(a))


class Peer:
    """An image, its objective and its optimizer.

    With an objective that is not ``expert``, it works like neural-style-pt: eager, Adam or L-BFGS
    with a history of 100 and no line search, and cuDNN's autotuned kernels. With an ``expert`` one
    it uses channels-last bfloat16 (see ``Objective``) and fused Adam.

    Args:
      objective: the loss.
      start: initial image, height x width x 3; repeated ``batch`` times.
      optimizer: "adam" or "lbfgs".
      learning_rate: of the optimizer.
      batch: number of images.
      compiled: mode of torch.compile; "" does not compile.
    """

    def __init__(
        self,
        objective: Objective,
        start: np.ndarray,
        optimizer: Optimizer,
        *,
        learning_rate: float = 1.0,
        batch: int = 1,
        compiled: str = "",
    ):
        torch.backends.cudnn.benchmark = True
        self.objective, self.compiled = objective, compiled
        self.loss = (
            torch.compile(objective, mode=compiled, dynamic=False) if compiled else objective
        )
        self.image = objective.pixels(start).repeat(batch, 1, 1, 1).requires_grad_()
        self.optimizer: torch.optim.Optimizer
        if optimizer == "adam":
            fused = objective.expert or None  # None: PyTorch's own choice
            self.optimizer = torch.optim.Adam([self.image], lr=learning_rate, fused=fused)
        else:
            self.optimizer = torch.optim.LBFGS(
                [self.image],
                lr=learning_rate,
                max_iter=1,
                history_size=100,
                tolerance_grad=-1,
                tolerance_change=-1,
            )

    def step(self) -> float:
        """Take one step and return the loss before it."""
        loss: Any = self.optimizer.step(self.evaluate)
        return loss.item()

    def take(self, steps: int) -> None:
        """Take steps, of one evaluation each, and block until they are done."""
        for _ in range(steps):
            self.optimizer.step(self.evaluate)
        if self.image.is_cuda:
            torch.cuda.synchronize()

    def evaluate(self) -> Any:
        """Compute the loss and store its gradient in the image.

        Returns:
          The loss, a tensor; typed Any because PyTorch's optimizers declare a float.
        """
        if self.compiled:
            torch.compiler.cudagraph_mark_step_begin()
        self.optimizer.zero_grad()
        loss = self.loss(self.image)
        loss.backward()
        return loss


def total(objective: Objective, image: Tensor) -> float:
    """Compute the loss of a batch without TF32 rounding."""
    with full_precision(), torch.no_grad():
        return float(objective(image))


def compile_mode(device: str) -> str:
    """Return the mode of torch.compile: with CUDA graphs on a GPU, to reduce launch overhead."""
    return "reduce-overhead" if device == "cuda" else "default"


def device() -> str:
    """Return the device of PyTorch: the GPU if it has one, else the CPU."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def forget() -> None:
    """Free compiled programs and cached GPU memory."""
    torch.compiler.reset()
    torch.cuda.empty_cache()


@contextmanager
def full_precision() -> Iterator[None]:
    """Return a context manager that disables TF32, cuDNN's default for float32 convolutions."""
    rounded = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = rounded
