"""Short functions for results of the gate."""

from avrogate import Code, Finding, Policy, RefusedError, ValidationResult, check


def validate(file: bytes, policy: Policy | None = None, *, chunk: int = 0) -> ValidationResult:
    """Return the result for *file*, fed at once or in chunks; raises `RefusedError`."""
    size = chunk or max(len(file), 1)
    return check(
        (file[start : start + size] for start in range(0, len(file), size)), policy or Policy()
    )


def findings(file: bytes, policy: Policy | None = None, *, chunk: int = 0) -> tuple[Finding, ...]:
    """Return the findings about *file*, or nothing."""
    try:
        validate(file, policy, chunk=chunk)
    except RefusedError as refused:
        return refused.findings
    return ()


def codes(file: bytes, policy: Policy | None = None, *, chunk: int = 0) -> list[Code]:
    """Return the codes only."""
    return [finding.code for finding in findings(file, policy, chunk=chunk)]
