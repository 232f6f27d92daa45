# C types of snappy.py, and its numbers.

from libc.string cimport memcpy
from avrogate.values cimport Bytes, Word

ctypedef long long* Words
ctypedef unsigned char* Window

cpdef enum:
    AT = 0
    FLOOR = 1
    LEFT = 2
    OFFSET = 3
    TOTAL = 4
    FAULT = 5
    WORDS = 6
    WRONG = 1
    FAR = 2

cdef Word _run(Bytes data, Word end, Window window, Word size, Words s) noexcept nogil
cdef inline Word _operand(Word tag) noexcept nogil
cdef inline Word _element(Bytes data, Word pos, Word at, Words s) noexcept nogil
cdef inline void _literal(Bytes data, Word pos, Word end, Window window, Word at, Word size, Word count) noexcept nogil
cdef inline void _copy(Window window, Word at, Word size, Word offset, Word count) noexcept nogil
