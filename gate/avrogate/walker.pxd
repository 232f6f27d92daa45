# C types of walker.py and of its variables that begin without a value, and the numbers of opcodes.py;
# a test holds these to their source.

cimport cython

from avrogate.values cimport Bytes, Word, is_decimal, is_text, is_uuid

ctypedef long long* Words

cdef enum:
    WORDS = 5
    BRANCH_WORDS = 4
    LONG = 1
    INT = 2
    STRING = 3
    BYTES = 4
    SKIP = 5
    BOOLEAN = 6
    RANGED = 7
    UUID = 8
    DECIMAL_BYTES = 9
    DECIMAL_FIXED = 10
    FIRST_CONTROL = 20
    UNION = 20
    END = 21
    CALL = 22
    RETURN = 23
    REPEAT = 24
    NEXT = 25
    CUT_OFF = 1
    TOO_LONG = 2
    OVERLONG = 3
    NEGATIVE = 4
    BEYOND = 5
    BAD_BRANCH = 6
    BAD_COUNT = 7
    BAD_SIZE = 8
    TOO_DEEP = 9
    STEPS = 10
    BAD_INT = 11
    BAD_BOOLEAN = 12
    BAD_SYMBOL = 13
    BAD_TEXT = 14
    NO_DIGITS = 15
    TOO_MANY_DIGITS = 16
    BAD_UUID = 17
    BAD_TIME = 18
    BAD_DATE = 19
    POS = 0
    PC = 1
    RECORD = 2
    COUNT = 3
    BASE = 4
    BLOCK_END = 5
    SP = 6
    DEPTH = 7
    MAX_DEPTH = 8
    STEPS_LEFT = 9
    STACK_END = 10
    STACK = 12

@cython.locals(target=Word, after=Word)
cdef inline Word _run(Words p, Bytes bounds, Bytes data, Word end, Words s) noexcept nogil
cdef inline Word _value(Words p, Word pc, Bytes bounds, Bytes data, Word pos, Word end, Word limit) noexcept nogil
@cython.locals(byte=Word)
cdef inline (Word, Word) _read(Bytes data, Word pos, Word end) noexcept nogil
@cython.locals(byte=cython.ulonglong, signed=Word)
cdef inline (Word, Word) _read_on(Bytes data, Word pos, Word end) noexcept nogil
cdef inline Word _long(Bytes data, Word pos, Word end) noexcept nogil
@cython.locals(value=Word)
cdef inline Word _ranged(Bytes data, Word pos, Word end, Word low, Word high, Word fault) noexcept nogil
@cython.locals(length=Word)
cdef inline (Word, Word) _length(Bytes data, Word pos, Word end, Word limit) noexcept nogil
@cython.locals(length=Word)
cdef inline Word _bytes(Bytes data, Word pos, Word end, Word limit) noexcept nogil
@cython.locals(length=Word)
cdef inline Word _string(Bytes data, Word pos, Word end, Word limit) noexcept nogil
@cython.locals(length=Word)
cdef inline Word _uuid(Bytes data, Word pos, Word end, Word limit) noexcept nogil
cdef inline Word _decimal(Words p, Word pc, Bytes bounds, Bytes data, Word pos, Word end, Word limit) noexcept nogil
cdef inline (Word, Word) _control(Words p, Word pc, Bytes data, Word pos, Word end, Words s) noexcept nogil
@cython.locals(index=Word)
cdef inline (Word, Word) _union(Words p, Word pc, Bytes data, Word pos, Word end) noexcept nogil
cdef inline (Word, Word) _call(Words p, Word pc, Word pos, Words s) noexcept nogil
@cython.locals(after=Word)
cdef inline (Word, Word) _repeat(Words p, Word pc, Bytes data, Word pos, Word end, Words s) noexcept nogil
cdef inline (Word, Word) _next(Words p, Word pc, Bytes data, Word pos, Word end, Words s) noexcept nogil
@cython.locals(count=Word)
cdef inline Word _plain_array(Words p, Word pc, Bytes data, Word pos, Word end) noexcept nogil
cdef inline Word _plain_values(Words p, Word pc, Bytes data, Word pos, Word end, Word count) noexcept nogil
@cython.locals(after=Word)
cdef inline Word _plain_items(Words p, Word pc, Bytes data, Word pos, Word end, Words s, Word frame) noexcept nogil
@cython.locals(count=Word, size=Word)
cdef inline Word _items(Word width, Bytes data, Word pos, Word end, Words s, Word frame) noexcept nogil
