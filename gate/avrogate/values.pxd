from libc.string cimport memcpy

ctypedef long long Word
ctypedef const unsigned char* Bytes

cdef Word is_text(Bytes data, Word pos, Word stop) noexcept nogil
cdef inline Word _ascii(Bytes data, Word pos, Word stop) noexcept nogil
cdef Word _character(Bytes data, Word pos, Word stop) noexcept nogil
cdef Word is_uuid(Bytes data, Word pos) noexcept nogil
cdef Word is_decimal(Bytes data, Word pos, Word stop, Bytes bounds, Word bound, Word size) noexcept nogil
