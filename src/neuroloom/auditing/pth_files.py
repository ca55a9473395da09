"""Tensors from PyTorch ``.pth`` files without unpickling anything.

The weights of some packages exist only in this format, whose headers are pickles. A pickle is a program; here
its instructions are read one by one, the few that lay out a dictionary of tensors are followed, and any other
is refused. Nothing is imported or called. Only the format before PyTorch 1.6 is read: five pickles, then the
raw storages.
"""

import io
import os
import pickletools
from pathlib import Path
from typing import Any

import numpy as np

from neuroloom.errors import CorruptArtifact

_MAGIC = 0x1950A86A20F9469CFC6C
_DTYPES = {"FloatStorage": "<f4", "DoubleStorage": "<f8", "LongStorage": "<i8", "HalfStorage": "<f2"}
_TENSOR, _DICTIONARY = "torch._utils _rebuild_tensor_v2", "collections OrderedDict"


def read_pth(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Return the tensors of a state dictionary by name.

    Raises
    ------
    CorruptArtifact
        If the file is truncated, not in the older format, or holds anything but plain tensors.
    """
    data = Path(path).read_bytes()
    stream = io.BytesIO(data)
    try:
        magic, _, _, state, keys = (_follow(stream) for _ in range(5))
        if magic != _MAGIC or not isinstance(state, dict) or not isinstance(keys, list):
            raise ValueError("not a saved state dictionary")
        # The storages follow in the order of their keys, each behind its number of elements.
        storages, start = {}, stream.tell()
        kinds = {tensor["storage"][1]: tensor["storage"][0] for tensor in state.values()}
        for key in keys:
            dtype = np.dtype(_DTYPES[kinds[key]])
            count = int(np.frombuffer(data, "<i8", count=1, offset=start)[0])
            storages[key] = np.frombuffer(data, dtype, count=count, offset=start + 8)
            start += 8 + count * dtype.itemsize
        return {str(name): _view(tensor, storages) for name, tensor in state.items()}
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise CorruptArtifact(
            f"{path} cannot be read as tensors ({error})",
            expected="an intact PyTorch state dictionary in the format before 1.6",
            remedy="install the package that holds it again",
        ) from None


def _view(tensor: dict[str, Any], storages: dict[str, np.ndarray]) -> np.ndarray:
    storage, shape, strides = storages[tensor["storage"][1]], tensor["shape"], tensor["strides"]
    last = tensor["offset"] + sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
    if min(strides, default=0) < 0 or not 0 <= tensor["offset"] <= last < len(storage):
        raise ValueError("a tensor reaches beyond its storage")
    in_bytes = [step * storage.itemsize for step in strides]
    return np.lib.stride_tricks.as_strided(storage[tensor["offset"] :], shape, in_bytes).copy()


def _follow(stream: io.BytesIO) -> Any:
    """Return the value one pickle lays out, following data instructions only."""
    stack: list[Any] = []
    marks: list[int] = []
    memo: dict[int, Any] = {}

    def since_mark() -> list[Any]:
        start = marks.pop()
        items = stack[start:]
        del stack[start:]
        return items

    for code, argument, _ in pickletools.genops(stream):
        name = code.name
        if name == "STOP":
            return stack.pop()
        if name in ("PROTO", "BUILD"):
            # BUILD only attaches attributes, such as version numbers, to a dictionary.
            if name == "BUILD":
                stack.pop()
        elif name == "MARK":
            marks.append(len(stack))
        elif name in ("BINPUT", "LONG_BINPUT"):
            memo[_integer(argument)] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(memo[_integer(argument)])
        elif name in ("BINUNICODE", "BININT", "BININT1", "BININT2", "LONG1", "GLOBAL"):
            stack.append(argument)
        elif name in ("NEWTRUE", "NEWFALSE", "NONE"):
            stack.append({"NEWTRUE": True, "NEWFALSE": False, "NONE": None}[name])
        elif name in ("EMPTY_DICT", "EMPTY_LIST", "EMPTY_TUPLE"):
            stack.append({"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple}[name]())
        elif name == "TUPLE":
            stack.append(tuple(since_mark()))
        elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            count = int(name[-1])
            stack[-count:] = [tuple(stack[-count:])]
        elif name == "APPENDS":
            items = since_mark()
            stack[-1].extend(items)
        elif name in ("SETITEMS", "SETITEM"):
            items = since_mark() if name == "SETITEMS" else [stack.pop(-2), stack.pop()]
            stack[-1].update(zip(items[::2], items[1::2], strict=True))
        elif name == "BINPERSID":
            # ("storage", "torch FloatStorage", key, device, elements, view)
            _, kind, key, *_ = stack.pop()
            stack.append((kind.removeprefix("torch "), key))
        elif name == "REDUCE":
            arguments, function = stack.pop(), stack.pop()
            stack.append(_built(function, arguments))
        else:
            raise ValueError(f"it holds the instruction {name}")
    raise ValueError("it ends too early")


def _built(function: Any, arguments: Any) -> dict[str, Any]:
    if function == _DICTIONARY and arguments in ((), ([],)):
        return {}
    if function == _TENSOR:
        storage, offset, shape, strides, *_ = arguments
        return {"storage": storage, "offset": offset, "shape": shape, "strides": strides}
    raise ValueError(f"it would call {function}")


def _integer(value: Any) -> int:
    if not isinstance(value, int):
        raise ValueError(f"{value!r} is no place in memory")
    return value
