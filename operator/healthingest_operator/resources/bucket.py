"""
The desired properties of the bucket, and the steps that are missing.

Rules and tags of others are kept: S3 replaces such lists as a whole, so a step contains the merged
list.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, TypeAlias

from healthingest_operator.api.v1alpha1 import ObjectStoreSpec, Requirement

OWNER_TAG: Final = "healthingest.dev/owner"
FORMER_TAG: Final = "healthingest.dev/former-owner"
"""Tag of the former owner, by which a HealthIngest of the same name gets its bucket back."""
INSTALLATION_TAG: Final = "healthingest.dev/installation"
"""Tag that distinguishes the bucket from one with the same name and owner on another store."""
ERASURE_KEY_TAG: Final = "healthingest.dev/erasure-key"
"""Tag with the fingerprint of the erasure key, with which erased objects were hashed."""
LIFECYCLE_RULE: Final = "healthingest-abort-incomplete-uploads"
PUBLIC_ACCESS_BLOCK: Final = {
    "BlockPublicAcls": True,
    "IgnorePublicAcls": True,
    "BlockPublicPolicy": True,
    "RestrictPublicBuckets": True,
}

Configuration: TypeAlias = Mapping[str, Any]
"""A rule or a setting of a bucket, with the field names of the S3 API."""


class Capability(StrEnum):
    """Features that a store may lack, listed in `status.objectStore.missingCapabilities`."""

    TAGGING = "tagging"
    VERSIONING = "versioning"
    ENCRYPTION = "encryption"
    LIFECYCLE = "lifecycle"
    PUBLIC_ACCESS_BLOCK = "publicAccessBlock"
    CHECKSUMS = "checksums"


@dataclass(frozen=True, slots=True)
class Observed:
    """
    The properties of a bucket.

    Values are those of the S3 API; None: the bucket has no value, or `missing` names the feature.
    """

    tags: Mapping[str, str] = field(default_factory=dict)
    versioning: str | None = None
    encryption: Configuration | None = None
    lifecycle: tuple[Configuration, ...] = ()
    public_access_block: Configuration | None = None
    missing: frozenset[Capability] = frozenset()

    @property
    def owner(self) -> str | None:
        """The HealthIngest that owns the bucket, as `namespace/name`."""
        return self.tags.get(OWNER_TAG)

    @property
    def installation(self) -> str | None:
        """The installation that the operator has set as a tag; None: there is none."""
        return self.tags.get(INSTALLATION_TAG)


@dataclass(frozen=True, slots=True)
class Step:
    """A change of one property; `value` has the form that the S3 API takes."""

    capability: Capability
    value: Any


def plan(
    wanted: ObjectStoreSpec,
    owner: str,
    observed: Observed,
    installation: str = "",
    erasure_key: str = "",
) -> tuple[Step, ...]:
    """
    Return the missing steps, without those that the store does not support.

    An empty *installation* or *erasure_key* (a fingerprint) leaves its tag as it is.
    """
    marks = {OWNER_TAG: owner, INSTALLATION_TAG: installation, ERASURE_KEY_TAG: erasure_key}
    steps = [
        *_tags(marks, observed),
        *_versioning(wanted, observed),
        *_encryption(wanted, observed),
        *_lifecycle(wanted, observed),
        *_public_access(wanted, observed),
    ]
    return tuple(step for step in steps if step.capability not in observed.missing)


def required(wanted: ObjectStoreSpec) -> frozenset[Capability]:
    """Return the required capabilities; checksums always are, because they protect uploads."""
    requirements = {
        Capability.CHECKSUMS: Requirement.REQUIRED,
        Capability.VERSIONING: wanted.versioning,
        Capability.PUBLIC_ACCESS_BLOCK: wanted.public_access_block,
        Capability.ENCRYPTION: wanted.encryption.policy
        if wanted.encryption.mode != "None"
        else Requirement.DISABLED,
    }
    return frozenset(
        capability
        for capability, requirement in requirements.items()
        if requirement is Requirement.REQUIRED
    )


def released(tags: Mapping[str, str], owner: str) -> dict[str, str]:
    """Return the *tags* of a bucket without those of its deleted owner."""
    return {name: value for name, value in tags.items() if name != OWNER_TAG} | {FORMER_TAG: owner}


def _tags(marks: Mapping[str, str], observed: Observed) -> list[Step]:
    ours = {name: text for name, text in marks.items() if text}
    others = {name: value for name, value in observed.tags.items() if name != FORMER_TAG}
    return (
        []
        if {**others, **ours} == observed.tags
        else [Step(Capability.TAGGING, {**others, **ours})]
    )


def _versioning(wanted: ObjectStoreSpec, observed: Observed) -> list[Step]:
    if wanted.versioning is Requirement.DISABLED or observed.versioning == "Enabled":
        return []
    return [Step(Capability.VERSIONING, "Enabled")]


def _encryption(wanted: ObjectStoreSpec, observed: Observed) -> list[Step]:
    if wanted.encryption.mode == "None":
        return []
    rule = {"SSEAlgorithm": "aws:kms" if wanted.encryption.mode == "SSE-KMS" else "AES256"}
    if wanted.encryption.key_id:
        rule["KMSMasterKeyID"] = wanted.encryption.key_id
    return [] if observed.encryption == rule else [Step(Capability.ENCRYPTION, rule)]


def _lifecycle(wanted: ObjectStoreSpec, observed: Observed) -> list[Step]:
    days = wanted.abort_incomplete_uploads_after_days
    others = [dict(rule) for rule in observed.lifecycle if rule.get("ID") != LIFECYCLE_RULE]
    ours = next((rule for rule in observed.lifecycle if rule.get("ID") == LIFECYCLE_RULE), None)
    known = (ours or {}).get("AbortIncompleteMultipartUpload", {}).get("DaysAfterInitiation")
    if days == (known or 0):
        return []
    rule = {
        "ID": LIFECYCLE_RULE,
        "Status": "Enabled",
        "Filter": {"Prefix": ""},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": days},
    }
    return [Step(Capability.LIFECYCLE, [*others, rule] if days else others)]


def _public_access(wanted: ObjectStoreSpec, observed: Observed) -> list[Step]:
    if (
        wanted.public_access_block is Requirement.DISABLED
        or observed.public_access_block == PUBLIC_ACCESS_BLOCK
    ):
        return []
    return [Step(Capability.PUBLIC_ACCESS_BLOCK, PUBLIC_ACCESS_BLOCK)]
