"""
The gate itself: an object container file, fed in chunks of any size.

Avro 1.12, "Object Container Files".
"""

from collections.abc import Iterable

from avrogate.blocks import Blocks
from avrogate.canonical import fingerprint
from avrogate.codecs import inflaters
from avrogate.explanations import with_limits
from avrogate.header import Header, HeaderReader
from avrogate.model import Enum, Fixed, Record, short_name
from avrogate.permission import check_permission
from avrogate.policy import Policy
from avrogate.program import compile_schema
from avrogate.records import Findings, Records
from avrogate.results import Code, Finding, RefusedError, ValidationResult, Work
from avrogate.schema import parse_schema


class Gate:
    """
    Validates one file: `feed` it chunk by chunk, then `finish`.

    It keeps at most a piece of a block, and does no I/O.

    After a `RefusedError` it must not be used any more.
    """

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._findings = Findings(policy.max_findings)
        self._header_reader = HeaderReader(policy)
        self._blocks: Blocks | None = None
        self._known = ValidationResult("", "", "", "", 0, 0)

    def feed(self, chunk: bytes) -> None:
        """
        The next bytes of the file.

        Raises:
            RefusedError: it is certain that the file is wrong, and nothing more can be found.
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
        The file has ended: what it is.

        Raises:
            RefusedError: it is wrong, with everything that was found.
        """
        try:
            self._finish()
        except RefusedError as refused:
            raise with_limits(refused, self._policy) from None
        return self.so_far()

    def so_far(self) -> ValidationResult:
        """
        What is known of the file, refused or not.

        Text that is not known yet is empty, blocks are whole ones.
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
        What validation has cost so far, for tests and measurements.

        Nothing before the header is read.
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
        schema = parse_schema(header.schema, self._policy)
        name = schema.root.name if isinstance(schema.root, Record | Enum | Fixed) else ""
        self._known = ValidationResult(short_name(name), name, fingerprint(schema), codec, 0, 0)
        check_permission(schema, self._policy)
        records = Records(compile_schema(schema), self._policy, self._findings)
        return Blocks(header, records, codecs.get(codec), self._policy)


def check(chunks: Iterable[bytes], policy: Policy) -> ValidationResult:
    """
    Validate the file that *chunks* make up.

    Raises:
        RefusedError: it is wrong; *chunks* may not have been read to their end then.
    """
    gate = Gate(policy)
    for chunk in chunks:
        gate.feed(chunk)
    return gate.finish()
