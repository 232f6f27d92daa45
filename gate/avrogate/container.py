"""
Validates an object container file that is fed in chunks of any size.

Avro specification 1.12, "Object Container Files".
"""

from collections.abc import Iterable

from avrogate.blocks import Blocks
from avrogate.codecs import inflaters
from avrogate.explanations import with_limits
from avrogate.header import Header, HeaderReader
from avrogate.model import short_name
from avrogate.permission import check_permission
from avrogate.policy import Policy
from avrogate.records import Findings, Records
from avrogate.results import Code, Finding, RefusedError, ValidationResult, Work
from avrogate.schema_cache import SchemaCache


class Gate:
    """
    Validates one file: call `feed` for each chunk, then `finish`.

    It keeps at most a piece of a block in memory, and does no I/O. Do not use it after a
    `RefusedError`. Gates with the same policy may share *schemas*, which was made with it.
    """

    def __init__(self, policy: Policy, schemas: SchemaCache | None = None) -> None:
        self._policy = policy
        self._schemas = SchemaCache(policy) if schemas is None else schemas
        self._findings = Findings(policy.max_findings)
        self._header_reader = HeaderReader(policy)
        self._blocks: Blocks | None = None
        self._known = ValidationResult("", "", "", "", 0, 0)

    def feed(self, chunk: bytes) -> None:
        """
        Validate the next bytes of the file.

        Raises:
            RefusedError: the file is invalid, and no further findings are possible.
        """
        try:
            if self._blocks is None:
                read = self._header_reader.feed(chunk)
                if read is None:
                    return
                header, chunk = read
                self._blocks = self._open(header)
            self._blocks.feed(chunk)
        except RefusedError as refused:
            raise with_limits(refused, self._policy) from None

    def finish(self) -> ValidationResult:
        """
        Return the result for the whole file.

        Raises:
            RefusedError: the file is invalid; it has all findings.
        """
        try:
            self._finish()
        except RefusedError as refused:
            raise with_limits(refused, self._policy) from None
        return self.so_far()

    def so_far(self) -> ValidationResult:
        """
        Return what is known so far, also of a refused file.

        Texts that are not known yet are empty; only complete blocks are counted.
        """
        if self._blocks is None:
            return self._known
        known = self._known
        return ValidationResult(
            record_type=known.record_type,
            schema_name=known.schema_name,
            schema_fingerprint=known.schema_fingerprint,
            codec=known.codec,
            block_count=self._blocks.block_count,
            record_count=self._blocks.record_count,
        )

    def work(self) -> Work:
        """
        Return what validation has cost so far, for tests and measurements.

        It is 0 until the header has been read.
        """
        return Work() if self._blocks is None else self._blocks.work()

    def _finish(self) -> None:
        if self._blocks is None:
            raise self._header_reader.cut_off()
        self._blocks.finish()
        if self._findings.found:
            raise RefusedError(*self._findings.found)

    def _open(self, header: Header) -> Blocks:
        codecs = inflaters(self._policy)
        codec = header.codec.decode("ascii", "replace")
        if codec != "null" and codec not in codecs:
            raise RefusedError(Finding(Code.CODEC_UNSUPPORTED))
        compiled = self._schemas.compiled(header.schema)
        name = compiled.name
        self._known = ValidationResult(short_name(name), name, compiled.fingerprint, codec, 0, 0)
        check_permission(compiled.schema, self._policy)
        records = Records(compiled.program, self._policy, self._findings)
        return Blocks(header, records, codecs.get(codec), self._policy)


def check(chunks: Iterable[bytes], policy: Policy) -> ValidationResult:
    """
    Return the result for the file that consists of *chunks*.

    Raises:
        RefusedError: the file is invalid; the remaining chunks may be unread.
    """
    gate = Gate(policy)
    for chunk in chunks:
        gate.feed(chunk)
    return gate.finish()
