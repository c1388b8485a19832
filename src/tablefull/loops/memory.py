"""Numbers at an address, for compiled code: read, written, asked for ahead.

The trap: an array handed from one compiled function to the next is counted in and out with an atomic instruction each
time, and a signed index is first asked whether it counts from the end; together they took two thirds of the time of a
walk. An address is only a number. So whoever takes one has compared it with the end of the array before, and holds the
array.

Values are widened to 64 bit signed, except :func:`le64`, which is unsigned.
"""

import sys
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba.core import cgutils
from numba.extending import intrinsic

F = TypeVar("F", bound=Callable[..., object])
Bytes = npt.NDArray[np.uint8]
Words = npt.NDArray[np.int64]

_numba = cast("Any", numba)
compiled = cast("Callable[[F], F]", _numba.njit(cache=True, nogil=True, error_model="numpy"))
inlined = cast("Callable[[F], F]", _numba.njit(cache=True, nogil=True, error_model="numpy", forceinline=True))
_typed = cast("Callable[[Any], Any]", intrinsic)
_int64, _uint64, _void = _numba.int64, _numba.uint64, _numba.void
_BYTE = ir.IntType(8).as_pointer()


def _reader(bits: int, big: bool, kind: Any) -> Any:
    """A compiled function that answers the number of ``bits`` at an address, widened to 64."""

    def typed(_: Any, at: Any) -> Any:
        def code(_context: Any, builder: Any, _signature: Any, values: Any) -> Any:
            value = builder.load(builder.inttoptr(values[0], ir.IntType(bits).as_pointer()))
            value.align = 1
            if bits > 8 and big != (sys.byteorder == "big"):
                value = builder.bswap(value)
            return value if bits == 64 else builder.zext(value, ir.IntType(64))

        return kind(_int64), code

    return _typed(typed)


def _writer(bits: int) -> Any:
    """A compiled function that puts the low ``bits`` of a number at an address, in the machine's order."""

    def typed(_: Any, at: Any, number: Any) -> Any:
        def code(_context: Any, builder: Any, _signature: Any, values: Any) -> Any:
            kind = ir.IntType(bits)
            value = values[1] if bits == 64 else builder.trunc(values[1], kind)
            stored = builder.store(value, builder.inttoptr(values[0], kind.as_pointer()))
            stored.align = 1
            return None

        return _void(_int64, _int64), code

    return _typed(typed)


def _address(_: Any, data: Any) -> Any:
    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, values[0])
        return builder.ptrtoint(array.data, ir.IntType(64))

    return _int64(data), code


def _ahead(_: Any, at: Any) -> Any:
    def code(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        number = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [_BYTE, number, number, number])
        function = cast("Any", cgutils).get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
        hints = [ir.Constant(number, value) for value in (1, 3, 1)]  # to be written, keep it, data
        builder.call(function, [builder.inttoptr(values[0], _BYTE), *hints])

    return _void(_int64), code


address = cast("Callable[[npt.NDArray[Any]], int]", _typed(_address))
prefetch = cast("Callable[[int], None]", _typed(_ahead))
u8 = cast("Callable[[int], int]", _reader(8, False, _int64))
be16 = cast("Callable[[int], int]", _reader(16, True, _int64))
be32 = cast("Callable[[int], int]", _reader(32, True, _int64))
le16 = cast("Callable[[int], int]", _reader(16, False, _int64))
le32 = cast("Callable[[int], int]", _reader(32, False, _int64))
le64 = cast("Callable[[int], np.uint64]", _reader(64, False, _uint64))
i64 = cast("Callable[[int], int]", _reader(64, False, _int64))
put8 = cast("Callable[[int, int], None]", _writer(8))
put16 = cast("Callable[[int, int], None]", _writer(16))
put32 = cast("Callable[[int, int], None]", _writer(32))
put64 = cast("Callable[[int, int], None]", _writer(64))
