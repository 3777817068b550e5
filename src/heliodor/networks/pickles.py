"""Reading the files that `torch.save` wrote, without running anything in them.

Such a file is a pickle: a program that may call whatever it names. `torch.load(weights_only=True)` names a few
harmless things, but no module, and Topaz saves whole modules, in either of torch's containers (zip since 1.6, a
bare sequence of pickles before). So this reader resolves names itself: those in `_CLASSES` become stand-ins,
which have the attributes that the file gives them and no behaviour; tensors become notes of where their numbers
are; every other name ends the reading. Neither Topaz nor a class of torch.nn is imported, made or called.
"""

from __future__ import annotations

import pickle
import zipfile
from collections import OrderedDict
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from heliodor.errors import WeightsError

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

_DENOISERS = "UDenoiseNet UDenoiseNet2 UDenoiseNet3 UDenoiseNetSmall DenoiseNet DenoiseNet2 AffineDenoise"
_CLASSES = {
    "topaz.denoise": _DENOISERS,  # until 0.2.5
    "topaz.denoising.models": _DENOISERS,
    "topaz.filters": "AffineDenoise",  # since 0.3
    "topaz.model.classifier": "LinearClassifier",
    "topaz.model.features.basic": "BasicConv",
    "topaz.model.features.resnet": "ResNet6 ResNet8 ResNet16 ResidA BasicConv BasicConv2d MaxPool",
    "topaz.model.generative": "ConvGenerator",
    "torch.nn.backends.thnn": "_get_thnn_function_backend",  # a relic in files of torch before 1.3
    "torch.nn.modules.activation": "LeakyReLU PReLU ReLU",
    "torch.nn.modules.batchnorm": "BatchNorm2d",
    "torch.nn.modules.container": "Sequential",
    "torch.nn.modules.conv": "Conv2d ConvTranspose2d",
    "torch.nn.modules.dropout": "Dropout",
    "torch.nn.modules.pooling": "AvgPool2d MaxPool2d",
}
_ZIP, _PICKLE = b"PK\x03\x04", b"\x80"  # what files of either container begin with
_NUMBERS = {"Half": "<f2", "Float": "<f4", "Double": "<f8", "Int": "<i4", "Long": "<i8"}
_LEGACY = 0x1950A86A20F9469CFC6C  # the first of the pickles in a file before torch 1.6
_DEEPEST = 8  # a module within a module within...: Topaz needs 4


class StandIn:
    """A module as a file describes it: attributes without behaviour."""


@dataclass(frozen=True)
class Pickled:
    """What a file of `torch.save` holds.

    Parameters
    ----------
    tensors : dict
        Name -> tensor, as in a state dict.
    modules : dict
        Dotted path ('' for the whole) -> stand-in of the module; empty where the file is a bare state dict.
    """

    tensors: dict[str, torch.Tensor]
    modules: dict[str, StandIn]

    def kind(self, path: str) -> str:
        """Return the name of the class of the module at `path`; '' where the file does not say."""
        return type(self.modules[path]).__name__ if path in self.modules else ""


def is_pickle(path: str | os.PathLike[str]) -> bool:
    """Say whether a file begins as those of `torch.save` do, and not as safetensors."""
    with open(path, "rb") as file:
        start = file.read(9)
    return start.startswith((_ZIP, _PICKLE)) and start[8:] != b"{"


def read_pickle(path: str | os.PathLike[str]) -> Pickled:
    """Read a state dict, or a whole module of Topaz, that `torch.save` wrote.

    Raises
    ------
    WeightsError
        The file is damaged, or asks for anything but tensors and modules of Topaz: nothing of it is run.
    """
    try:
        with open(path, "rb") as file:
            found, storages = (_read_zip if file.peek(4).startswith(_ZIP) else _read_legacy)(file)
        modules = dict(_modules(found)) if isinstance(found, StandIn) else {}
        views = _views(found, modules)
        tensors = {name: view.tensor(storages) for name, view in views.items()}
    except _RefusedError as error:
        raise WeightsError(
            f"{path}: refused, and nothing in it was run: it asks for '{error}', which no network of Topaz needs; "
            "give a .sav file that topaz train wrote, or a model of heliodor"
        ) from error
    except Exception as error:  # damaged files raise many kinds
        cause = (str(error).splitlines() or [type(error).__name__])[0][:160]
        raise WeightsError(
            f"{path}: not a readable model file ({cause}); give one that heliodor or topaz train wrote, whole"
        ) from error
    if not tensors:
        raise WeightsError(f"{path}: holds no weights, but something else; give a model that topaz train wrote")
    return Pickled(tensors, modules)


class _RefusedError(pickle.UnpicklingError):
    """The file names something that is not in `_CLASSES`."""


class _Storage(NamedTuple):
    key: str
    dtype: str


class _View(NamedTuple):
    """A tensor, as a view of one of the file's arrays."""

    storage: _Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]

    def tensor(self, storages: dict[str, bytes]) -> torch.Tensor:
        numbers = np.frombuffer(storages[self.storage.key], self.storage.dtype).astype(self.storage.dtype[1:])
        # as_strided checks that the view lies within the array
        return torch.as_strided(torch.from_numpy(numbers), self.size, self.stride, self.offset).clone()


class _Unpickler(pickle.Unpickler):
    """The names that a file may use are made anew for each file, so that none can change them for the next."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(file, encoding="utf-8")
        self.dtypes: dict[str, str] = {}  # of the arrays that were asked for, by their keys
        self.names: dict[str, Any] = {
            f"{module}.{name}": type(name, (StandIn,), {})
            for module, names in _CLASSES.items()
            for name in names.split()
        }
        self.names |= {f"torch.{kind}Storage": dtype for kind, dtype in _NUMBERS.items()}
        self.names |= {
            "collections.OrderedDict": OrderedDict,
            "builtins.set": set,
            "__builtin__.set": set,
            "torch._utils._rebuild_tensor": lambda *view: _View(*view[:4]),
            "torch._utils._rebuild_tensor_v2": lambda *view: _View(*view[:4]),
            "torch._utils._rebuild_parameter": lambda *parameter: parameter[0],
        }

    def find_class(self, module: str, name: str) -> Any:
        full = f"{module}.{name}"
        if full not in self.names:
            raise _RefusedError(full)
        return self.names[full]

    def persistent_load(self, pid: Any) -> Any:
        kind, found, *rest = pid
        if kind == "module":  # the class of a module, and its source text, which is not looked at
            return found
        if kind != "storage" or any(rest[3:]):
            raise _RefusedError(str(kind))
        self.dtypes[str(rest[0])] = found
        return _Storage(str(rest[0]), found)


def _read_zip(whole: IO[bytes]) -> tuple[Any, dict[str, bytes]]:
    with zipfile.ZipFile(whole) as archive:
        names = archive.namelist()
        main = next(name for name in names if name.endswith("data.pkl"))
        root = main.removesuffix("data.pkl")
        if f"{root}byteorder" in names and archive.read(f"{root}byteorder") != b"little":
            raise ValueError("written by a big-endian machine")
        with archive.open(main) as file:
            found = _Unpickler(file).load()
        prefix = f"{root}data/"
        return found, {n.removeprefix(prefix): archive.read(n) for n in names if n.startswith(prefix)}


def _read_legacy(file: IO[bytes]) -> tuple[Any, dict[str, bytes]]:
    if _Unpickler(file).load() != _LEGACY:
        raise ValueError("a pickle, but not one that torch.save wrote")
    _Unpickler(file).load()  # version of the protocol
    if not _Unpickler(file).load()["little_endian"]:
        raise ValueError("written by a big-endian machine")
    unpickler = _Unpickler(file)
    found, storages = unpickler.load(), {}
    for key in _Unpickler(file).load():
        count = int.from_bytes(file.read(8), "little")
        storages[str(key)] = file.read(count * np.dtype(unpickler.dtypes[str(key)]).itemsize)
    return found, storages


def _views(found: Any, modules: dict[str, StandIn]) -> dict[str, _View]:
    if modules:
        return {name: view for at, module in modules.items() for name, view in _own_views(module, at)}
    found = found.get("state_dict", found) if isinstance(found, dict) else {}
    return {str(name): view for name, view in found.items() if isinstance(view, _View)}


def _modules(module: StandIn, at: str = "") -> Iterator[tuple[str, StandIn]]:
    if at.count(".") >= _DEEPEST:
        raise ValueError("its modules contain each other without end")
    yield at, module
    for name, inner in _entries(module, "_modules"):
        if isinstance(inner, StandIn):
            yield from _modules(inner, f"{at}.{name}" if at else name)


def _own_views(module: StandIn, at: str) -> Iterator[tuple[str, _View]]:
    for part in ("_parameters", "_buffers"):
        for name, view in _entries(module, part):
            if isinstance(view, _View):
                yield (f"{at}.{name}" if at else name), view


def _entries(module: StandIn, part: str) -> list[tuple[str, Any]]:
    entries = vars(module).get(part)
    return [(str(k), v) for k, v in entries.items()] if isinstance(entries, dict) else []
