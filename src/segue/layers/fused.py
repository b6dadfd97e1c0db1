"""Convolution, batch norm and activation in one pass over memory, for inference.

In evaluation mode a batch norm scales and shifts each channel by constants, which the convolution before it
can do by itself: ``w' = w · γ/√(σ² + ε)``, ``b' = β + (b − μ) · γ/√(σ² + ε)``. What PyTorch then does one
after the other, convolution, bias and activation, oneDNN does at once, with weights that are arranged for it
beforehand; it is the operator that ``torch.compile`` gives such pairs to. PyTorch itself leaves small
convolutions to a slower path where it runs on one thread; this one does not.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Literal, TypeVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_ONEDNN: Any = torch.ops.mkldnn

Activation = Literal["none", "relu", "relu6", "leaky"]

_ACTIVATIONS: dict[Activation, tuple[Callable[[Tensor], Tensor], str, list[float]]] = {
    "none": (nn.Identity(), "none", []),
    "relu": (F.relu, "relu", []),
    "relu6": (F.relu6, "hardtanh", [0.0, 6.0]),
    "leaky": (partial(F.leaky_relu, negative_slope=0.1), "leaky_relu", [0.1]),
}
"""The activations, what oneDNN calls them, and their parameters there."""


class ActivatedConv2d(nn.Conv2d):
    """A convolution, and the activation after it."""

    activation: Activation = "none"

    @classmethod
    def rectified(cls, cin: int, cout: int, stride: int = 1) -> ActivatedConv2d:
        """A 3x3 convolution and a ReLU.

        Args:
            cin: channels of the input.
            cout: channels of the output.
            stride: factor by which the sides become smaller.

        Returns:
            A layer with padding 1 and random weights.
        """
        conv = cls(cin, cout, 3, stride, padding=1)
        conv.activation = "relu"
        return conv

    def forward(self, x: Tensor) -> Tensor:
        """(N, cin, H, W) to (N, cout, H', W'), as the convolution alone."""
        return _ACTIVATIONS[self.activation][0](super().forward(x))

    def centred(self) -> tuple[Tensor, tuple[int, ...]]:
        """Weights, and a padding that is the same on opposite sides, which give the same convolution.

        Returns:
            Weights (cout, cin, height, width), and padding above and left, which is also that below and
            right.
        """
        assert isinstance(self.padding, tuple)
        return self.weight, self.padding


class BatchNormReLU(nn.BatchNorm2d):
    """Batch norm and the ReLU after it."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same."""
        return super().forward(x).relu_()


class ConvNormReLU(nn.Module):
    """Convolution without bias, batch norm, ReLU; the sides are divided by ``stride``."""

    def __init__(self, cin: int, cout: int, kernel: int = 1, *, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(cin, cout, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.bn = BatchNormReLU(cout)

    def forward(self, x: Tensor) -> Tensor:
        """(N, cin, H, W) to (N, cout, H/stride, W/stride)."""
        return self.bn(self.conv(x))


class Stages(nn.ModuleList):
    """Layers, each of which sees the output of the one before; all outputs are wanted, first to last."""

    def forward(self, x: Tensor) -> list[Tensor]:
        """(N, C, H, W) to the output of every layer, each (N, C', H', W')."""
        maps = []
        for layer in self:
            x = layer(x)
            maps.append(x)
        return maps


Module = TypeVar("Module", bound=nn.Module)


def fold_batch_norms(module: Module, *, later: bool = False) -> Module:
    """A copy of ``module`` for inference in which convolutions carry the batch norms that follow them.

    Folded are the pairs of :func:`convolutions_before`. Of a norm with a ReLU the ReLU stays. Everything
    else, and all storage that does not change, is shared with ``module``, which is left as it is. The outputs
    of the copy, which is in evaluation mode, agree with those of ``module.eval()`` up to rounding.

    Args:
        module: is left as it is.
        later: the weights of the copy are still those of ``module``; :func:`folded_weight` gives the others.
            What takes the place of the convolutions can then make its own weights from those of ``module``,
            one layer after the other, without a third set of all of them.

    Returns:
        The copy.
    """
    clone = _shallow(module)
    clone.training = False
    for name, child in module.named_children():
        setattr(clone, name, fold_batch_norms(child, later=later))
    for convolutions, norm_name in convolutions_before(module, nn.BatchNorm2d):
        norm = module.get_submodule(norm_name)
        assert isinstance(norm, nn.BatchNorm2d)
        scale, shift = _scale_and_shift(norm)
        for i, name in enumerate(convolutions):
            conv = _scaled(module.get_submodule(name), scale, shift if i == 0 else None, later=later)
            setattr(clone, name, conv)
        rest = nn.ReLU(inplace=True) if isinstance(norm, BatchNormReLU) else nn.Identity()
        setattr(clone, norm_name, rest)
    return clone


def convolutions_before(module: nn.Module, kind: type[nn.Module]) -> Iterator[tuple[list[str], str]]:
    """Which convolutions feed a norm, or what has taken its place, among the children of ``module``.

    In a sequence it is the layer before. Elsewhere ``bn<name>`` follows ``conv<name>``, or what the attribute
    ``norms`` of the block says, a mapping of norms to convolutions; further convolutions ``conv<name>_*`` are
    added before the norm (STM's memory stem). Yields their names, and that of what follows.

    Args:
        module: module whose children are looked at.
        kind: class of the norm, or of what has taken its place.

    Yields:
        Names of the convolutions, and the name of what follows.
    """
    children = dict(module.named_children())
    if isinstance(module, nn.Sequential):
        for conv, after in itertools.pairwise(children):
            if isinstance(children[conv], nn.Conv2d) and isinstance(children[after], kind):
                yield [conv], after
        return
    norms: Mapping[str, str] = getattr(module, "norms", {})
    for name, child in children.items():
        conv = norms.get(name, "conv" + name.removeprefix("bn"))
        if isinstance(child, kind) and isinstance(children.get(conv), nn.Conv2d):
            yield [conv, *(other for other in children if other.startswith(conv + "_"))], name


def _scale_and_shift(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """The norm as ``x · scale + shift``, in float64."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight.detach().double() / torch.sqrt(norm.running_var.double() + norm.eps)
    return scale, norm.bias.detach().double() - norm.running_mean.double() * scale


_OUTPUT_SCALES = "_output_scales"  # attribute of a convolution whose weights are still to be multiplied by it


def _scaled(conv: nn.Module, scale: Tensor, shift: Tensor | None, *, later: bool) -> nn.Module:
    assert isinstance(conv, nn.Conv2d)
    clone = _shallow(conv)
    weight = conv.weight.detach()
    setattr(clone, _OUTPUT_SCALES, scale)
    if not later:
        fold_weights(clone)
    if conv.bias is not None:
        shift = conv.bias.detach().double() * scale + (0 if shift is None else shift)
    if shift is not None:
        clone.bias = _constant(shift.to(weight))
    return clone


def folded_weight(conv: nn.Conv2d, weight: Tensor | None = None) -> Callable[[], Tensor]:
    """What gives the weights of a convolution of :func:`fold_batch_norms`, times what a norm asks for.

    Args:
        conv: the convolution.
        weight: its weights in another form, (cout, ...); None takes them as they are.

    Returns:
        A function that gives the weights.
    """
    unscaled = (conv.weight if weight is None else weight).detach()
    scale: Tensor | None = getattr(conv, _OUTPUT_SCALES, None)

    def scaled() -> Tensor:
        if scale is None:
            return unscaled
        return (unscaled.double() * scale[:, None, None, None]).to(unscaled)

    return scaled


def fold_weights(module: nn.Module) -> None:
    """Do what :func:`fold_batch_norms` left for later, in place, wherever nothing has done it.

    Args:
        module: it is changed.
    """
    for conv in module.modules():
        if isinstance(conv, nn.Conv2d) and hasattr(conv, _OUTPUT_SCALES):
            conv.weight = _constant(folded_weight(conv)())
            delattr(conv, _OUTPUT_SCALES)


def _constant(value: Tensor) -> nn.Parameter:
    return nn.Parameter(value, requires_grad=False)


def _shallow(module: Module) -> Module:
    """A copy on the same storage, whose parameters, buffers and children can be replaced.

    Parameters are new objects: moving or casting a module swaps the data inside of them, and that must not
    reach the original.
    """
    clone = copy.copy(module)
    for table in ("_parameters", "_buffers", "_modules"):
        clone.__dict__[table] = dict(module.__dict__[table])
    for name, parameter in module.named_parameters(recurse=False):
        clone.__dict__["_parameters"][name] = _constant(parameter.detach())
    return clone


class PlainConv2d(nn.Module):
    """A convolution and the activation after it as PyTorch computes them, one after the other.

    It has the methods of :class:`FusedConv2d`, for processors without it.
    """

    def __init__(self, conv: nn.Conv2d, activation: Activation) -> None:
        super().__init__()
        weight, padding = conv.centred() if isinstance(conv, ActivatedConv2d) else (conv.weight, conv.padding)
        self._weight, self._bias = folded_weight(conv, weight)(), conv.bias
        self._activate = _ACTIVATIONS[activation][0]
        self._layout: Any = conv.stride, padding, conv.dilation, conv.groups

    def dense_weight(self) -> Tensor:
        """The weights, (cout, cin, height, width).

        Returns:
            The layer's own tensor.
        """
        return self._weight

    def forward(self, x: Tensor) -> Tensor:
        """(B, cin, H, W) → (B, cout, h, w)."""
        return self.channels(x, 0, bias=True)

    def channels(self, x: Tensor, first: int, *, bias: bool) -> Tensor:
        """The part that acts on input channels ``first`` to ``first + x.shape[1]``, with or without bias.

        Args:
            x: (B, C, H, W), the input channels ``first`` to ``first + C``.
            first: number of the first channel.
            bias: add the bias, which one part alone may do.

        Returns:
            (B, cout, h, w), after the activation.
        """
        weight = self._weight[:, first : first + x.shape[1]]
        return self._activate(F.conv2d(x, weight, self._bias if bias else None, *self._layout))

    def joined(
        self, x: Tensor, skip: Tensor | None, *, rectify: bool = False, overwrite: bool = False
    ) -> Tensor:
        """See :meth:`FusedConv2d.joined`.

        Args:
            x: (B, cin, H, W).
            skip: (B, cout, h, w), what is added, or None.
            rectify: ReLU after the sum.
            overwrite: the result may take the place of ``skip``; here it never does.

        Returns:
            (B, cout, h, w).
        """
        return join(self(x), skip, rectify=rectify)


class FusedConv2d(nn.Module):
    """A zero-padded convolution and the activation after it, for inference; equal up to rounding.

    It is in float32 or bfloat16 on a processor. The weights are held once: as they came, or arranged by
    oneDNN.
    """

    bias: Tensor | None

    def __init__(self, conv: nn.Conv2d, activation: Activation) -> None:
        super().__init__()
        weight, padding = conv.centred() if isinstance(conv, ActivatedConv2d) else (conv.weight, conv.padding)
        self._dense: Callable[[], Tensor] | None = folded_weight(conv, weight)
        self._inputs = weight.shape[1]  # channels of one group
        self.register_buffer("bias", None if conv.bias is None else conv.bias.detach())
        self._layout = list(padding), list(conv.stride), list(conv.dilation), conv.groups
        self._activation = *_ACTIVATIONS[activation][1:], ""
        self._arranged: dict[int, tuple[torch.Size, Tensor]] = {}

    def dense_weight(self) -> Tensor:
        """The weights, (cout, channels of a group, height, width), channels last in memory.

        Returns:
            A tensor in the layer's type; where the layer holds it arranged, a copy.
        """
        # Arranging changes the order of the numbers alone.
        weight = self._arranged[0][1].to_dense() if self._dense is None else self._dense()
        return weight.contiguous(memory_format=torch.channels_last)

    def forward(self, x: Tensor) -> Tensor:
        """(B, cin, H, W) → (B, cout, h, w), channels last in memory if ``x`` is."""
        return self.channels(x, 0, bias=True)

    def channels(self, x: Tensor, first: int, *, bias: bool) -> Tensor:
        """The part that acts on input channels ``first`` to ``first + x.shape[1]``, with or without bias.

        Args:
            x: (B, C, H, W), the input channels ``first`` to ``first + C``.
            first: number of the first channel.
            bias: add the bias, which one part alone may do.

        Returns:
            (B, cout, h, w), after the activation.
        """
        convolve = _ONEDNN._convolution_pointwise
        shift = self.bias if bias else None
        return cast(Tensor, convolve(x, self._arrange(x, first), shift, *self._layout, *self._activation))

    def joined(
        self, x: Tensor, skip: Tensor | None, *, rectify: bool = False, overwrite: bool = False
    ) -> Tensor:
        """The convolution plus ``skip``, with a ReLU where asked for, in one pass over memory.

        Args:
            x: (B, cin, H, W).
            skip: (B, cout, h, w); None adds nothing.
            rectify: whether a ReLU follows.
            overwrite: whether the result may take the memory of ``skip``.

        Returns:
            (B, cout, h, w).

        Raises:
            ValueError: the layer has an activation of its own, which would come before the sum.
        """
        if self._activation[0] != "none":
            raise ValueError(f"the convolution is followed by {self._activation[0]}")
        weight, after = self._arrange(x, 0), "relu" if rectify else "none"
        if skip is None:
            convolve = _ONEDNN._convolution_pointwise
            return cast(Tensor, convolve(x, weight, self.bias, *self._layout, after, [], ""))
        joined: tuple[Any, ...] = "add", 1.0, after if rectify else None, [], ""
        if overwrite:
            return cast(
                Tensor,
                _ONEDNN._convolution_pointwise_.binary(skip, x, weight, self.bias, *self._layout, *joined),
            )
        return cast(
            Tensor, _ONEDNN._convolution_pointwise.binary(x, skip, weight, self.bias, *self._layout, *joined)
        )

    def _arrange(self, x: Tensor, first: int) -> Tensor:
        """The weights of channels from ``first`` on as oneDNN wants them for ``x``."""
        size, arranged = self._arranged.get(first, (None, None))
        if arranged is not None and x.shape == size:
            return arranged
        # The best arrangement depends on the size; another one would be rearranged at each call.
        weight = self.dense_weight()
        groups = self._layout[-1]
        whole = groups > 1 or x.shape[1] == self._inputs
        part = weight if whole else weight[:, first : first + x.shape[1]]
        part = part.contiguous(memory_format=torch.channels_last)
        arranged = _ONEDNN._reorder_convolution_weight(part, *self._layout, list(x.shape))
        self._arranged[first] = x.shape, arranged
        # Parts of the channels need the whole for one another.
        self._dense = None if whole else lambda: weight
        return arranged


def join(y: Tensor, skip: Tensor | None, *, rectify: bool) -> Tensor:
    """``y`` itself, plus ``skip`` where there is one, with a ReLU where asked for.

    Args:
        y: (B, C, H, W), which is changed.
        skip: the same shape, or None.
        rectify: whether a ReLU follows.

    Returns:
        ``y``.
    """
    y = y if skip is None else y.add_(skip)
    return y.relu_() if rectify else y


def replace_convolutions(
    module: nn.Module, make: Callable[[nn.Conv2d, Activation], nn.Module | None]
) -> None:
    """Replace the convolutions inside ``module``, with what follows them where that is known, in place.

    Args:
        module: has no batch norms behind convolutions any more.
        make: gives what takes the place of a zero-padded convolution and the activation after it; None leaves
            both as they are.
    """
    for parent in list(module.modules()):
        for (conv, *others), relu in list(convolutions_before(parent, nn.ReLU)):
            child = getattr(parent, conv)
            if not others and _pads_with_zeros(child) and (made := make(child, "relu")) is not None:
                setattr(parent, conv, made)
                setattr(parent, relu, nn.Identity())
        for name, child in list(parent.named_children()):
            if isinstance(child, ActivatedConv2d):
                activation = child.activation
            elif type(child) is nn.Conv2d and _pads_with_zeros(child):
                activation = "none"
            else:
                continue
            if (made := make(child, activation)) is not None:
                setattr(parent, name, made)


def use_fused(module: nn.Module) -> None:
    """Replace all zero-padded convolutions inside ``module`` by :class:`FusedConv2d`, in place.

    Args:
        module: it is changed.
    """
    replace_convolutions(module, FusedConv2d)


def _pads_with_zeros(conv: nn.Conv2d) -> bool:
    return conv.padding_mode == "zeros" and isinstance(conv.padding, tuple)


def product_with(rows: Tensor, block: int) -> Callable[[Tensor], Tensor]:
    """What multiplies (B, C) with ``rows`` (N, C), giving (B, N), in float32 and without gradients.

    oneDNN takes half the time of the library that PyTorch multiplies matrices with where the processor is not
    of that library's maker. It arranges the rows once for all calls, of which most have B = ``block``.

    Args:
        rows: (N, C).
        block: number B of most calls.

    Returns:
        A function from (B, C) to (B, N).
    """
    if rows.device.type != "cpu" or not can_fuse():
        return lambda x: x @ rows.T
    arranged = _ONEDNN._reorder_linear_weight(rows, block)
    return lambda x: cast(Tensor, _ONEDNN._linear_pointwise(x, arranged, None, "none", [], ""))


def can_fuse() -> bool:
    """Whether PyTorch has oneDNN here, and that has fused convolutions of its own for this processor.

    Returns:
        True where :class:`FusedConv2d` pays.
    """
    known = torch.backends.mkldnn.is_available() and hasattr(_ONEDNN, "_convolution_pointwise")
    return known and torch.backends.cpu.get_cpu_capability().startswith("AVX")
