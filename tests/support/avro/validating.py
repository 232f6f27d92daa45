"""Short words for what the gate says."""

from avrogate import Code, Finding, Policy, RefusedError, ValidationResult, check


def validate(file: bytes, policy: Policy | None = None, *, chunk: int = 0) -> ValidationResult:
    """The result on *file*, fed at once or in chunks of so many bytes; raises `RefusedError`."""
    size = chunk or max(len(file), 1)
    return check(
        (file[start : start + size] for start in range(0, len(file), size)), policy or Policy()
    )


def findings(file: bytes, policy: Policy | None = None, *, chunk: int = 0) -> tuple[Finding, ...]:
    """Why it is refused; nothing when it is not."""
    try:
        validate(file, policy, chunk=chunk)
    except RefusedError as refused:
        return refused.findings
    return ()


def codes(file: bytes, policy: Policy | None = None, *, chunk: int = 0) -> list[Code]:
    """The codes alone."""
    return [finding.code for finding in findings(file, policy, chunk=chunk)]
