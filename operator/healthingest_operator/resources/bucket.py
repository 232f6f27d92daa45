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
UPLOADS_RULE: Final = "healthingest-abort-incomplete-uploads"
VERSIONS_RULE: Final = "healthingest-delete-noncurrent-versions"
"""Ids of the operator's lifecycle rules."""
_COMPARED: Final = ("Status", "AbortIncompleteMultipartUpload", "NoncurrentVersionExpiration")
"""Fields of a lifecycle rule whose change is drift."""
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
    OBJECT_LOCK = "objectLock"
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
    object_lock: Configuration | None = None
    """None: the bucket was created without object lock, or the lock may not be read."""
    missing: frozenset[Capability] = frozenset()

    @property
    def retention(self) -> Configuration:
        """The default retention of new versions; empty: there is none."""
        rule = (self.object_lock or {}).get("Rule") or {}
        return rule.get("DefaultRetention") or {}

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
        *_object_lock(wanted, observed),
    ]
    return tuple(step for step in steps if step.capability not in observed.missing)


def required(wanted: ObjectStoreSpec) -> frozenset[Capability]:
    """Return the required capabilities; checksums always are, because they protect uploads."""
    requirements = {
        Capability.CHECKSUMS: Requirement.REQUIRED,
        Capability.VERSIONING: Requirement.REQUIRED if wanted.object_lock else wanted.versioning,
        Capability.OBJECT_LOCK: Requirement.REQUIRED
        if wanted.object_lock
        else Requirement.DISABLED,
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


def described_retention(observed: Observed) -> dict[str, str]:
    """Return mode and period of the default retention, for messages."""
    found = observed.retention
    unit = "days" if "Days" in found else "years"
    return {
        "mode": str(found.get("Mode", "")).capitalize(),
        "period": f"{found.get(unit.capitalize())} {unit}",
    }


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
    """Return the step that sets the operator's rules beside those of others."""
    ours = _rules(wanted)
    others = [
        dict(rule)
        for rule in observed.lifecycle
        if rule.get("ID") not in {UPLOADS_RULE, VERSIONS_RULE}
    ]
    live = {str(rule.get("ID")): rule for rule in observed.lifecycle}
    superfluous = {UPLOADS_RULE, VERSIONS_RULE} & live.keys() - {rule["ID"] for rule in ours}
    if not superfluous and all(_same_rule(rule, live.get(rule["ID"])) for rule in ours):
        return []
    return [Step(Capability.LIFECYCLE, [*others, *ours])]


def _rules(wanted: ObjectStoreSpec) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    everywhere = {"Status": "Enabled", "Filter": {"Prefix": ""}}
    if days := wanted.abort_incomplete_uploads_after_days:
        abort = {"AbortIncompleteMultipartUpload": {"DaysAfterInitiation": days}}
        found.append({"ID": UPLOADS_RULE, **everywhere, **abort})
    if (days := wanted.noncurrent_days) and wanted.versioning is not Requirement.DISABLED:
        # A delete marker without versions behind it is removed with the last of them.
        expire = {
            "NoncurrentVersionExpiration": {"NoncurrentDays": days},
            "Expiration": {"ExpiredObjectDeleteMarker": True},
        }
        found.append({"ID": VERSIONS_RULE, **everywhere, **expire})
    return found


def _same_rule(wanted: Configuration, live: Configuration | None) -> bool:
    """Whether *live* has the periods of *wanted*; stores return the other fields in other forms."""
    return live is not None and all(live.get(name) == wanted.get(name) for name in _COMPARED)


def _object_lock(wanted: ObjectStoreSpec, observed: Observed) -> list[Step]:
    if wanted.object_lock is None:
        return []
    retention = {"Mode": wanted.object_lock.mode.upper(), "Days": wanted.object_lock.days}
    if observed.retention == retention:
        return []
    lock = {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": retention}}
    return [Step(Capability.OBJECT_LOCK, lock)]


def _public_access(wanted: ObjectStoreSpec, observed: Observed) -> list[Step]:
    if (
        wanted.public_access_block is Requirement.DISABLED
        or observed.public_access_block == PUBLIC_ACCESS_BLOCK
    ):
        return []
    return [Step(Capability.PUBLIC_ACCESS_BLOCK, PUBLIC_ACCESS_BLOCK)]
