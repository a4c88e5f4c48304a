"""Writes small functions for this machine's vector unit: loops, vectors of 16 floats, addresses.

A thin layer over llvmlite: Python runs once and leaves LLVM instructions behind, which are compiled
in a fraction of a second and called through ctypes, without the interpreter's lock. Importing this
module needs llvmlite.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import llvmlite.binding as llvm
from llvmlite import __version__, ir

version = __version__
"""llvmlite's."""

LANES = 16
"""Floats in a vector; narrower vector units take several registers for one."""

INT = ir.IntType(64)
BYTE = ir.IntType(8)
FLOAT = ir.FloatType()
VECTOR = ir.VectorType(FLOAT, LANES)
BYTES = ir.VectorType(BYTE, LANES)
POINTER = ir.PointerType()
_LANE = ir.VectorType(ir.IntType(32), LANES)


class Value:
    """A number or vector that the written function will have; arithmetic on it writes code."""

    def __init__(self, code: Code, raw: Any) -> None:
        self.code, self.raw = code, raw

    def _other(self, other: Value | float) -> Any:
        if isinstance(other, Value):
            return other.raw
        if isinstance(self.raw.type, ir.VectorType):
            kind = self.raw.type.element
            value = float(other) if kind is FLOAT else int(other)
            return ir.Constant(self.raw.type, [ir.Constant(kind, value)] * LANES)
        return ir.Constant(self.raw.type, other)

    def _do(self, integer: str, real: str, other: Value | float, swap: bool = False) -> Value:
        pair = (self.raw, self._other(other))
        if swap:
            pair = pair[::-1]
        builder = self.code.builder
        kind = getattr(self.raw.type, "element", self.raw.type)
        if kind is FLOAT:
            # Products may be fused with sums; nothing else is rearranged.
            return Value(self.code, getattr(builder, real)(*pair, flags=("contract",)))
        return Value(self.code, getattr(builder, integer)(*pair))

    def __add__(self, other: Value | float) -> Value:
        return self._do("add", "fadd", other)

    def __radd__(self, other: float) -> Value:
        return self._do("add", "fadd", other, swap=True)

    def __sub__(self, other: Value | float) -> Value:
        return self._do("sub", "fsub", other)

    def __mul__(self, other: Value | float) -> Value:
        return self._do("mul", "fmul", other)

    def __rmul__(self, other: float) -> Value:
        return self._do("mul", "fmul", other, swap=True)

    def __floordiv__(self, other: Value | int) -> Value:
        return self._do("sdiv", "fdiv", other)

    def __mod__(self, other: Value | int) -> Value:
        return self._do("srem", "frem", other)

    def __and__(self, other: Value | int) -> Value:
        return self._do("and_", "and_", other)

    def _compare(self, sign: str, other: Value | float) -> Value:
        kind = getattr(self.raw.type, "element", self.raw.type)
        builder = self.code.builder
        compare = builder.fcmp_ordered if kind is FLOAT else builder.icmp_signed
        return Value(self.code, compare(sign, self.raw, self._other(other)))

    def __lt__(self, other: Value | float) -> Value:
        return self._compare("<", other)

    def __ge__(self, other: Value | float) -> Value:
        return self._compare(">=", other)

    def __gt__(self, other: Value | float) -> Value:
        return self._compare(">", other)

    def equals(self, other: Value | float) -> Value:
        """Whether both are the same number."""
        return self._compare("==", other)


class Code:
    """One function under construction.

    Args:
        module: where it goes.
        name: what it is called.
        parameters: LLVM types of what it takes, for a function that others of the module call; by
            default it takes the address of 64-bit numbers, and is called from Python.
    """

    def __init__(self, module: ir.Module, name: str, parameters: Sequence[Any] = ()) -> None:
        kinds = list(parameters) or [POINTER]
        self.function = ir.Function(module, ir.FunctionType(ir.VoidType(), kinds), name)
        self.function.attributes.add("nounwind")
        if parameters:
            self.function.linkage = "internal"
        self.builder = ir.IRBuilder(self.function.append_basic_block("entry"))
        self.parameters = [Value(self, argument) for argument in self.function.args]

    def number(self, value: int) -> Value:
        """A constant."""
        return Value(self, ir.Constant(INT, value))

    def bytes(self, value: int) -> Value:
        """A vector of one small number repeated."""
        return Value(self, ir.Constant(BYTES, [ir.Constant(BYTE, value)] * LANES))

    @property
    def zero(self) -> Value:
        """A vector of zeros."""
        return Value(self, ir.Constant(VECTOR, None))

    def arguments(self, count: int) -> list[Value]:
        """The first numbers that the caller passes."""
        return [self.load(self.parameters[0], i, INT, 8) for i in range(count)]

    def pointer(self, address: Value) -> Value:
        """An address passed as a number."""
        return Value(self, self.builder.inttoptr(address.raw, POINTER))

    def table(self, count: int) -> Value:
        """Room for `count` numbers on the stack; to be called before any loop."""
        raw = self.builder.alloca(INT, count)
        raw.type = POINTER  # llvmlite's own is of the older kind, tied to what it points at
        return Value(self, raw)

    def at(self, pointer: Value, index: Value | int, kind: Any = FLOAT) -> Value:
        """The address of an element."""
        raw = index.raw if isinstance(index, Value) else ir.Constant(INT, index)
        return Value(self, self.builder.gep(pointer.raw, [raw], source_etype=kind))

    def load(self, pointer: Value, index: Value | int, kind: Any = VECTOR, align: int = 4) -> Value:
        """A vector that begins at an element, or an element of another kind."""
        place = self.at(pointer, index, _element(kind))
        return Value(self, self.builder.load(place.raw, align=align, typ=kind))

    def store(self, value: Value, pointer: Value, index: Value | int, align: int = 4) -> None:
        """Writes a vector or an element."""
        place = self.at(pointer, index, _element(value.raw.type))
        self.builder.store(value.raw, place.raw, align=align)

    def take(self, pointer: Value) -> Value:
        """Reads a number that threads share and raises it by one, in one step."""
        one = ir.Constant(INT, 1)
        return Value(self, self.builder.atomic_rmw("add", pointer.raw, one, "monotonic"))

    def splat(self, scalar: Value) -> Value:
        """A vector of one number repeated."""
        first = self.builder.insert_element(
            ir.Constant(VECTOR, ir.Undefined), scalar.raw, ir.Constant(ir.IntType(32), 0)
        )
        lanes = ir.Constant(_LANE, [ir.Constant(ir.IntType(32), 0)] * LANES)
        return Value(
            self,
            self.builder.shuffle_vector(first, ir.Constant(VECTOR, ir.Undefined), lanes),
        )

    def lane(self, vector: Value, index: int) -> Value:
        """One number of a vector."""
        place = ir.Constant(ir.IntType(32), index)
        return Value(self, self.builder.extract_element(vector.raw, place))

    def vector(self, scalars: Sequence[Value]) -> Value:
        """A vector that begins with some numbers, with zeros after them."""
        raw = self.zero.raw
        for index, scalar in enumerate(scalars):
            raw = self.builder.insert_element(raw, scalar.raw, ir.Constant(ir.IntType(32), index))
        return Value(self, raw)

    def select(self, condition: Value, yes: Value, no: Value | float) -> Value:
        """`yes` where the condition holds, else `no`."""
        return Value(self, self.builder.select(condition.raw, yes.raw, yes._other(no)))

    def least(self, one: Value, other: Value | float) -> Value:
        """The smaller of two."""
        return self.select(one < other, one, other)

    def greatest(self, one: Value, other: Value | float) -> Value:
        """The larger of two."""
        return self.select(one > other, one, other)

    def all_of(self, *conditions: Value) -> Value:
        """Whether all conditions hold."""
        found = conditions[0]
        for condition in conditions[1:]:
            found = Value(self, self.builder.and_(found.raw, condition.raw))
        return found

    def call(self, function: Code, *values: Value) -> None:
        """Calls another function of the module."""
        self.builder.call(function.function, [value.raw for value in values])

    @contextmanager
    def loop(self, start: Value | int, stop: Value | int, step: int = 1) -> Iterator[Value]:
        """Repeats what is written inside for every index."""
        with self.accumulate(start, stop, step, []) as (index, _, _):
            yield index

    @contextmanager
    def accumulate(
        self, start: Value | int, stop: Value | int, step: int, initial: Sequence[Value]
    ) -> Iterator[tuple[Value, list[Value], list[Value]]]:
        """A loop that carries values in registers.

        Yields the index, the values at the start of each turn, and a list to be filled with those
        at its end; after the loop, that list holds the final values.
        """
        builder = self.builder
        first = start.raw if isinstance(start, Value) else ir.Constant(INT, start)
        last = stop.raw if isinstance(stop, Value) else ir.Constant(INT, stop)
        before = builder.block
        check = builder.append_basic_block("check")
        body = builder.append_basic_block("body")
        after = builder.append_basic_block("after")
        builder.branch(check)
        builder.position_at_end(check)
        index = builder.phi(INT)
        index.add_incoming(first, before)
        carried = []
        for value in initial:
            phi = builder.phi(value.raw.type)
            phi.add_incoming(value.raw, before)
            carried.append(phi)
        builder.cbranch(builder.icmp_signed("<", index, last), body, after)
        builder.position_at_end(body)
        results: list[Value] = []
        yield Value(self, index), [Value(self, phi) for phi in carried], results
        index.add_incoming(builder.add(index, ir.Constant(INT, step)), builder.block)
        for phi, value in zip(carried, results, strict=True):
            phi.add_incoming(value.raw, builder.block)
        builder.branch(check)
        builder.position_at_end(after)
        results[:] = [Value(self, phi) for phi in carried]

    @contextmanager
    def forever(self) -> Iterator[Callable[[Value], None]]:
        """Repeats what is written inside until `leave(condition)` holds."""
        builder = self.builder
        body = builder.append_basic_block("turn")
        after = builder.append_basic_block("left")
        builder.branch(body)
        builder.position_at_end(body)

        def leave(condition: Value) -> None:
            stay = builder.append_basic_block("stay")
            builder.cbranch(condition.raw, after, stay)
            builder.position_at_end(stay)

        yield leave
        builder.branch(body)
        builder.position_at_end(after)

    @contextmanager
    def when(self, condition: Value) -> Iterator[None]:
        """What is written inside happens only if the condition holds."""
        with self.builder.if_then(condition.raw):
            yield

    def finish(self) -> None:
        """Ends the function."""
        self.builder.ret_void()


def _element(kind: Any) -> Any:
    return kind.element if isinstance(kind, ir.VectorType) else kind


class Machine:
    """This computer's processor, as LLVM sees it.

    Attributes:
        name: LLVM's name of the processor.
        wide: whether one register holds a whole vector, and there are 32 of them.
    """

    def __init__(self) -> None:
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        self.name = llvm.get_host_cpu_name()
        features = llvm.get_host_cpu_features()
        self.wide = bool(features.get("avx512f"))
        # LLVM holds back 512-bit registers on processors that once slowed down for them.
        flags = features.flatten() + (",-prefer-256-bit" if self.wide else "")
        self._flags = flags

    @property
    def key(self) -> str:
        """All that compiled code depends on beside what was written."""
        return f"{self.name} {self._flags} llvmlite {version}"

    def compile(self, module: ir.Module) -> bytes:
        """Compiles a module to an object file for `Library`.

        Raises:
            RuntimeError: LLVM refuses it.
        """
        target = self._target()
        module.triple, module.data_layout = target.triple, str(target.target_data)
        parsed = llvm.parse_assembly(str(module))
        parsed.verify()
        # Little is left to simplify, and the usual pipeline takes seconds to find that out.
        passes = llvm.create_new_module_pass_manager()
        passes.add_simplify_cfg_pass()
        passes.add_loop_rotate_pass()
        passes.add_instruction_combine_pass()
        options = llvm.create_pipeline_tuning_options(speed_level=2)
        passes.run(parsed, llvm.create_pass_builder(target, options))
        return target.emit_object(parsed)

    def load(self, compiled: bytes) -> Library:
        """Brings an object file into memory.

        Raises:
            RuntimeError: LLVM refuses it.
        """
        return Library(compiled, self._target())

    def _target(self) -> Any:
        triple = llvm.Target.from_default_triple()
        return triple.create_target_machine(
            cpu=self.name, features=self._flags, opt=3, codemodel="jitdefault", jit=True
        )


class Library:
    """Compiled functions, to be called while this object lives."""

    def __init__(self, compiled: bytes, target: Any) -> None:
        self._engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), target)
        self._engine.add_object_file(llvm.ObjectFileRef.from_data(compiled))
        self._engine.finalize_object()

    def function(self, name: str) -> Any:
        """A function of one argument, the address of its numbers; it runs without the lock."""
        address = self._engine.get_function_address(name)
        return ctypes.CFUNCTYPE(None, ctypes.c_void_p)(address)
