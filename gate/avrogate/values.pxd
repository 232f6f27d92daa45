from libc.string cimport memcpy

cdef extern from *:
    """
    #define HIGH_BITS ((long long) 0x8080808080808080ULL)
    """
    long long _HIGH_BITS "HIGH_BITS"

ctypedef long long Word
ctypedef const unsigned char* Bytes

cdef Word is_text(Bytes data, Word pos, Word stop) noexcept nogil
cdef Word _ascii_words(Bytes data, Word pos, Word stop) noexcept nogil
cdef Word _ascii(Bytes data, Word pos, Word stop) noexcept nogil
cdef Word _character(Bytes data, Word pos, Word stop) noexcept nogil
cdef Word is_uuid(Bytes data, Word pos) noexcept nogil
cdef Word is_decimal(Bytes data, Word pos, Word stop, Bytes bounds, Word bound, Word size) noexcept nogil
