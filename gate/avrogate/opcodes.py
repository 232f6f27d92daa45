"""
The walker's constants: opcodes, faults, and the words of its state.

`walker.pxd` has the same numbers for the compiled form; a test compares them.

An instruction has five words: its opcode, the next instruction, and three arguments. A program
begins with the outermost type, which ends with END. Called records follow; each ends with RETURN.
"""

from typing import Final

from avrogate.results import Code

WORDS: Final = 5
BRANCH_WORDS: Final = 4
"""
Of a branch of a union: its instruction, its size in bytes or -1, the most that its first byte may
be, and the instruction behind the branch. The last two are used only with a size.
"""

# Values: each instruction reads one.
LONG: Final = 1
INT: Final = 2
STRING: Final = 3
BYTES: Final = 4
SKIP: Final = 5  # a: bytes
BOOLEAN: Final = 6
RANGED: Final = 7  # a: least, b: greatest, c: fault
UUID: Final = 8
DECIMAL_BYTES: Final = 9  # a: position of the bounds, b: bytes of each bound
DECIMAL_FIXED: Final = 10  # a, b: as for DECIMAL_BYTES; c: bytes of the value
# Control.
FIRST_CONTROL: Final = 20
UNION: Final = 20  # a: number of branches, which follow the instruction
END: Final = 21
CALL: Final = 22  # a: target, b: nesting that the call adds, c: least nesting within the target
RETURN: Final = 23
REPEAT: Final = (
    24  # array or map; a: address of the item, b: its least bytes, c: 1 if one plain value
)
NEXT: Final = 25  # after an item

# Faults.
CUT_OFF: Final = 1
TOO_LONG: Final = 2
OVERLONG: Final = 3
NEGATIVE: Final = 4
BEYOND: Final = 5
BAD_BRANCH: Final = 6
BAD_COUNT: Final = 7
BAD_SIZE: Final = 8
TOO_DEEP: Final = 9
STEPS: Final = 10
BAD_INT: Final = 11
BAD_BOOLEAN: Final = 12
BAD_SYMBOL: Final = 13
BAD_TEXT: Final = 14
NO_DIGITS: Final = 15
TOO_MANY_DIGITS: Final = 16
BAD_UUID: Final = 17
BAD_TIME: Final = 18
BAD_DATE: Final = 19

# Words of the state.
POS: Final = 0  # where to continue, from the start of the piece; can be beyond its end
PC: Final = 1
RECORD: Final = 2  # number of finished records
COUNT: Final = 3
BASE: Final = 4  # position of the piece in the block
BLOCK_END: Final = 5  # end of the block, or the latest possible end
SP: Final = 6
DEPTH: Final = 7
MAX_DEPTH: Final = 8
STEPS_LEFT: Final = 9  # of the budget of the file
STACK_END: Final = 10
STACK: Final = 12  # frames of four words: instruction, items left, end of the items, unused

CODES: Final = {
    CUT_OFF: Code.DATA_CUT_OFF,
    TOO_LONG: Code.VARINT_TOO_LONG,
    OVERLONG: Code.VARINT_OVERLONG,
    NEGATIVE: Code.LENGTH_NEGATIVE,
    BEYOND: Code.LENGTH_BEYOND_BLOCK,
    BAD_BRANCH: Code.UNION_INDEX,
    BAD_COUNT: Code.ITEM_COUNT_WRONG,
    BAD_SIZE: Code.ITEMS_SIZE_WRONG,
    TOO_DEEP: Code.DATUM_TOO_DEEP,
    STEPS: Code.TOO_MANY_STEPS,
    BAD_INT: Code.INT_RANGE,
    BAD_BOOLEAN: Code.BOOLEAN_INVALID,
    BAD_SYMBOL: Code.ENUM_INDEX,
    BAD_TEXT: Code.UTF8_INVALID,
    NO_DIGITS: Code.DECIMAL_EMPTY,
    TOO_MANY_DIGITS: Code.DECIMAL_PRECISION,
    BAD_UUID: Code.UUID_INVALID,
    BAD_TIME: Code.TIME_RANGE,
    BAD_DATE: Code.CALENDAR_RANGE,
}
VALUE_FAULTS: Final = frozenset({OVERLONG, *range(BAD_INT, BAD_DATE + 1)})
"""Faults after which the end of the value is known, so that reading can continue."""
