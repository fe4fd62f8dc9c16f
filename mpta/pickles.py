"""What a pickle would do, found out without doing it: the names it reaches for and what it asks its loader for.

A walk over the instructions with a stack of what is known of each value. Python's own table of the instructions
(`pickletools`) says what each takes and leaves, so no instruction is left out.
"""

from __future__ import annotations

import pickletools
from dataclasses import dataclass, field

#: Instructions in the checkpoint of the largest YOLO, halfway through its training: 0.13 million. Walked in 0.35 s.
MAX_INSTRUCTIONS = 300_000
_TEXTS = frozenset(
    ("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "STRING", "BINSTRING", "SHORT_BINSTRING")
)
_TUPLES = frozenset(("EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"))
_CALLS = frozenset(("REDUCE", "NEWOBJ", "NEWOBJ_EX", "OBJ"))
#: They change the value that they leave.
_CHANGES = frozenset(("APPEND", "APPENDS", "SETITEM", "SETITEMS", "ADDITEMS", "BUILD"))
_NUMBERS = frozenset(("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4"))
_MARK = object()


class PickleDamaged(ValueError):
    """The bytes are no pickle, or one that takes what is not there."""


@dataclass(frozen=True, slots=True)
class Global:
    """A class or function that a pickle reaches for, as `module name`."""

    name: str


@dataclass(slots=True)
class Intentions:
    """What a pickle would do, in its order.

    Attributes:
        globals: each name that it reaches for.
        asked: what it asks its loader for, such as the storages of tensors: the ids as far as they are known.
        calls: each known class or function that it would call.
        instructions: names of all kinds of instruction in it.
    """

    globals: list[str] = field(default_factory=list)
    asked: list[object] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    instructions: set[str] = field(default_factory=set)


def intentions(pickled: bytes) -> Intentions:
    """Return what the pickle would do.

    Raises:
        PickleDamaged: it is none, or too long.
    """
    walk = _Walk()
    try:
        for count, (opcode, argument, _) in enumerate(pickletools.genops(pickled)):
            if count == MAX_INSTRUCTIONS:
                raise PickleDamaged("too many instructions")
            walk.step(opcode, argument)
    except (ValueError, IndexError, KeyError) as exc:
        raise PickleDamaged("no pickle") from exc
    return walk.found


class _Walk:
    """The stack machine. A value is a text, a number, a tuple of values, a `Global`, or None: nothing is known."""

    def __init__(self) -> None:
        self.found = Intentions()
        self._stack: list[object] = []
        self._memo: dict[int, object] = {}

    def step(self, opcode: pickletools.OpcodeInfo, argument: object) -> None:
        """Take one instruction into account."""
        name = opcode.name
        self.found.instructions.add(name)
        if name in _TEXTS or name in _NUMBERS:
            self._stack.append(argument)
        elif name == "MARK":
            self._stack.append(_MARK)
        elif name in ("GLOBAL", "INST"):
            if name == "INST":
                self._to_mark()
            self._reach(str(argument))
        elif name == "STACK_GLOBAL":
            attribute, module = self._pop(), self._pop()
            known = isinstance(module, str) and isinstance(attribute, str)
            self._reach(f"{module} {attribute}" if known else "a name that it computes")
        elif name.startswith("EXT"):
            self._reach("an extension code")
        elif name == "MEMOIZE":
            self._memo[len(self._memo)] = self._stack[-1]
        elif name.endswith("PUT") and isinstance(argument, int):
            self._memo[argument] = self._stack[-1]
        elif name.endswith("GET") and isinstance(argument, int):
            self._stack.append(self._memo[argument])
        elif name in ("DUP", "POP"):
            top = self._stack.pop()  # Which may be a mark.
            self._stack += [top, top] if name == "DUP" else []
        else:
            self._others(opcode, argument)

    def _others(self, opcode: pickletools.OpcodeInfo, argument: object) -> None:
        name = opcode.name
        taken = [argument] if name == "PERSID" else self._take(opcode.stack_before)
        if name in ("PERSID", "BINPERSID"):
            self.found.asked.append(taken[0])
        elif name in _CALLS and taken and isinstance(taken[0], Global):
            self.found.calls.append(taken[0].name)
        if name in _TUPLES:
            self._stack.append(tuple(taken))
        elif name in _CHANGES:
            self._stack.append(taken[0])
        else:
            self._stack += [None] * len(opcode.stack_after)

    def _reach(self, name: str) -> None:
        self.found.globals.append(name)
        self._stack.append(Global(name))

    def _take(self, before: list[pickletools.StackObject]) -> list[object]:
        """Pop what an instruction takes; return it without the mark, deepest first."""
        taken: list[object] = []
        if pickletools.markobject in before:
            taken = self._to_mark()
            before = before[: before.index(pickletools.markobject)]
        return [*reversed([self._pop() for _ in before]), *taken]

    def _to_mark(self) -> list[object]:
        taken: list[object] = []
        while (value := self._stack.pop()) is not _MARK:
            taken.append(value)
        return taken[::-1]

    def _pop(self) -> object:
        value = self._stack.pop()
        if value is _MARK:
            raise PickleDamaged("takes more than there is")
        return value
