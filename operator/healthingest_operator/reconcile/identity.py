"""Identity of database and bucket: a replaced one must be confirmed before the operator uses it."""

import hashlib
from urllib.parse import unquote, urlsplit

from healthingest_contract.conditions import Reason
from healthingest_operator.api.healthingest import HealthIngest
from healthingest_operator.api.manifest import ManifestView
from healthingest_operator.reconcile.errors import DependencyError
from healthingest_operator.reconcile.ports import ObjectStore, StoreAccess
from healthingest_operator.resources import bucket
from healthingest_operator.resources.bucket import FORMER_TAG
from healthingest_operator.resources.names import owner_id
from healthingest_operator.status import identity_causes as causes


def database_place(url: str) -> str:
    """Return `host:port/name`, for messages and for the annotation that confirms the database."""
    parts = urlsplit(url)
    return f"{parts.netloc.rpartition('@')[2]}/{unquote(parts.path.lstrip('/'))}"


def bucket_place(access: StoreAccess) -> str:
    """Return `host:port/bucket`; for AWS `aws:region/bucket`."""
    host = (
        access.endpoint.partition("://")[2].rstrip("/")
        if access.endpoint
        else f"aws:{access.region}"
    )
    return f"{host}/{access.bucket}"


def installation_of_database(
    owner: HealthIngest, place: str, found: str | None, known: str | None
) -> str:
    """
    Return the installation that the database at *place* must name for this HealthIngest.

    It is the one that was *found*, or a new one to write. *known* is the installation in the
    status. It is None before the first reconciliation, after an upgrade from a version without
    installations, and for a HealthIngest that was created again. In these cases a database that
    names no installation is accepted.

    Raises:
        DependencyError: it is not the previous database, and it is not confirmed.
    """
    confirmed = owner.confirmed_database == place
    if found is None and (known is None or confirmed):
        return _installation(owner, known, place)
    if found is not None and (known in {None, found} or confirmed):
        return found
    why = (
        "it has no identity, so it is new, was emptied, or is another one"
        if found is None
        else "it has the identity of another installation"
    )
    raise DependencyError.of(causes.DATABASE_REPLACED, place=place, found=why)


def refuse_new_database(owner: HealthIngest, place: str) -> None:
    """
    Check that a new database at *place* is confirmed, because the HealthIngest had another one.

    Raises:
        DependencyError: it is not confirmed.
    """
    if owner.confirmed_database != place:
        raise DependencyError.of(causes.DATABASE_REPLACED, place=place, found="it does not exist")


def _installation(owner: HealthIngest, known: str | None, place: str) -> str:
    """
    Return a new installation; the first one is the uid.

    A later one differs from it, so that a return to the previous place must be confirmed, too.
    """
    return (
        owner.uid
        if known is None
        else hashlib.sha256(f"{owner.uid} {known} {place}".encode()).hexdigest()[:32]
    )


async def installation_of_bucket(
    store: ObjectStore,
    owner: HealthIngest,
    access: StoreAccess,
    observed: bucket.Observed | None,
    before: ManifestView,
) -> str:
    """
    Return the installation that the bucket must have as a tag.

    *before* is `status.objectStore`; *observed* None: the bucket does not exist.

    Raises:
        DependencyError: the bucket is on another store than before, or has objects of others, and
            it is not confirmed.
    """
    place = bucket_place(access)
    known = before.get("installation")
    moved = before.get("place") not in {None, place}
    if owner.confirmed_bucket != place:
        _refuse_another_store(observed, before, place)
        if _is_first_use(before) and _is_unmarked(owner, observed):
            await _refuse_content(store, access, place)
    if observed is not None and observed.installation and observed.owner == owner_id(owner.key):
        return observed.installation
    return _installation(owner, known, place) if moved else known or owner.uid


def _refuse_another_store(
    observed: bucket.Observed | None, before: ManifestView, place: str
) -> None:
    """Refuse a bucket at another place, unless it has the installation in the status."""
    known = before.get("installation")
    is_known = known is not None and observed is not None and observed.installation == known
    if before.get("place") not in {None, place} and not is_known:
        raise DependencyError.of(causes.STORE_REPLACED, place=place, before=before["place"])


def _is_first_use(before: ManifestView) -> bool:
    """Whether the HealthIngest has used no bucket; versions without `place` wrote `probed`."""
    return before.get("place") is None and before.get("probed") is None


def _is_unmarked(owner: HealthIngest, observed: bucket.Observed | None) -> bool:
    if observed is None:
        return False
    return observed.owner is None and observed.tags.get(FORMER_TAG) != owner_id(owner.key)


async def _refuse_content(store: ObjectStore, access: StoreAccess, place: str) -> None:
    try:
        empty = await store.is_empty(access)
    except DependencyError as error:
        if error.reason is not Reason.PERMISSION_DENIED:
            raise
        empty = False  # it is unknown, so a person must confirm the bucket
    if not empty:
        raise DependencyError.of(causes.BUCKET_FOREIGN, place=place)
