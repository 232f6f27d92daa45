"""
The erasure key in its own Secret: created once, compared with what is known of it, and kept.

The status has the fingerprint of the key. Of a HealthIngest without status, such as one that was
created again in another cluster, a tag of the bucket has it.
"""

from dataclasses import dataclass
from typing import Final

from healthingest_contract import environment as env
from healthingest_operator.api.healthingest import HealthIngest
from healthingest_operator.api.manifest import ManifestView
from healthingest_operator.reconcile.children import refuse_foreign
from healthingest_operator.reconcile.credentials.user_secrets import Credentials
from healthingest_operator.reconcile.errors import DependencyError
from healthingest_operator.reconcile.identity import bucket_place
from healthingest_operator.reconcile.ports import ObjectStore, Ports
from healthingest_operator.resources import bucket, names
from healthingest_operator.resources.comparison import difference, stamped
from healthingest_operator.resources.erasure_key import (
    ENTRY,
    KeyProblem,
    chosen_key,
    erasure_key_object,
    fingerprint_of,
    is_erasure_key,
    may_hold_key,
)
from healthingest_operator.resources.secrets import Values, decode
from healthingest_operator.status import erasure_key_causes as causes

_CAUSES: Final = {
    KeyProblem.MISSING: causes.ERASURE_KEY_MISSING,
    KeyProblem.CHANGED: causes.ERASURE_KEY_CHANGED,
}


@dataclass(frozen=True, slots=True)
class ErasureKey:
    """
    The key for the pods.

    `value` None: it is unknown now, or `error` says why no key may be used. `healed` has a sentence
    if the Secret was missing or changed, and `written` whether it was written.
    """

    value: str | None = None
    error: DependencyError | None = None
    healed: tuple[str, ...] = ()
    written: bool = False

    @property
    def fingerprint(self) -> str | None:
        """The fingerprint of the key."""
        return None if self.value is None else fingerprint_of(self.value)

    def put_into(self, values: Values) -> dict[str, str]:
        """Return the values of the service's Secret with this key; no pod gets a wrong one."""
        others = {name: text for name, text in values.items() if name != env.IDENTITY_ERASURE_KEY}
        if self.error is not None:
            return others
        return (
            dict(values) if self.value is None else others | {env.IDENTITY_ERASURE_KEY: self.value}
        )


async def reconcile_erasure_key(
    ports: Ports, owner: HealthIngest, found: Credentials, known: str | None
) -> ErasureKey:
    """
    Return the key, and write it into its Secret before anything uses it.

    *known* is the fingerprint in the status. Without it, no key is used before the bucket has been
    read.

    Raises:
        DependencyError: a Secret of this name belongs to another owner.
    """
    secret = names.erasure_key_secret(owner.key)
    live = await ports.cluster.read("v1", "Secret", owner.key.namespace, secret)
    own = decode(live).get(ENTRY)
    if live is not None and not may_hold_key(live, owner, own):
        refuse_foreign(live, owner)
    try:
        needed = known or await _fingerprint_in_bucket(ports.store, owner, found)
    except DependencyError:
        return ErasureKey()  # the condition of the bucket reports it
    copy = None if _is(own, known) else await _copy(ports, owner)
    make = ports.generators.erasure_key
    key = chosen_key((own, copy), needed, owner.confirmed_erasure_key, make)
    if isinstance(key, KeyProblem) and not await _is_needed(ports.store, found):
        key = chosen_key((own, copy), None, "", make)
    if isinstance(key, KeyProblem):
        cause = _CAUSES[key]
        return ErasureKey(error=DependencyError.of(cause, secret=secret, fingerprint=needed))
    return await _kept(ports, owner, key, live, existed=known is not None)


def _is(key: str | None, fingerprint: str | None) -> bool:
    """Return whether both are given, and the key has the fingerprint."""
    return (
        key is not None
        and fingerprint is not None
        and is_erasure_key(key)
        and fingerprint_of(key) == fingerprint
    )


async def _copy(ports: Ports, owner: HealthIngest) -> str | None:
    """Return the copy of the key in the service's Secret."""
    secret = await ports.cluster.read(
        "v1", "Secret", owner.key.namespace, names.service_secret(owner.key)
    )
    return decode(secret).get(env.IDENTITY_ERASURE_KEY)


async def _fingerprint_in_bucket(
    store: ObjectStore, owner: HealthIngest, found: Credentials
) -> str | None:
    """
    Return the fingerprint that the bucket has as a tag; None: there is none, or no bucket.

    It counts if the bucket is or was of this HealthIngest, or if its adoption is confirmed. The
    data of another HealthIngest is not used.

    Raises:
        DependencyError: the bucket cannot be read.
    """
    if isinstance(found.store_admin, DependencyError):
        raise found.store_admin
    access = found.store_admin
    observed = await store.observe(access)
    if observed is None:
        return None
    is_own = names.owner_id(owner.key) in {observed.owner, observed.tags.get(bucket.FORMER_TAG)}
    is_adopted = observed.owner is None and owner.confirmed_bucket == bucket_place(access)
    return observed.tags.get(bucket.ERASURE_KEY_TAG) if is_own or is_adopted else None


async def _is_needed(store: ObjectStore, found: Credentials) -> bool:
    """Whether data was erased with the key; without an answer of the store it may have been."""
    if isinstance(found.store_admin, DependencyError):
        return True
    try:
        return await store.has_erasures(found.store_admin)
    except DependencyError:
        return True


async def _kept(
    ports: Ports, owner: HealthIngest, key: str, live: ManifestView | None, *, existed: bool
) -> ErasureKey:
    """Write the Secret if it lacks *key*; if it *existed* before, that is drift."""
    desired = stamped(erasure_key_object(owner, key))
    name = desired["metadata"]["name"]
    if live is not None and difference(desired, live) is None:
        return ErasureKey(key)
    await ports.cluster.apply(desired)
    lost = decode(live).get(ENTRY) != key
    healed = (f"Secret {name} was missing or changed",) if existed and lost else ()
    return ErasureKey(key, healed=healed, written=True)
