"""When pods are rolled."""

from support.operator_fakes import KEY, OperatorFakes

SETTINGS = {"HEALTHINGEST_LIMITS__LOGINS": "7/minute"}


async def test_a_changed_setting_rolls_api_and_relay() -> None:
    """It reaches their ConfigMap, and the digest in both pod templates; no migration runs again."""
    fakes = OperatorFakes()
    await fakes.until_ready()

    def write(settings: dict[str, str]) -> None:
        live = fakes.cluster.get("HealthIngest", KEY.name)
        live["spec"]["settings"] = settings
        live["metadata"]["generation"] += 1

    def jobs() -> list[str]:
        return sorted(name for kind, _, name in fakes.cluster.objects if kind == "Job")

    before = fakes.settings_digests()
    migrations = jobs()
    write(SETTINGS)
    await fakes.until_ready()
    config = fakes.cluster.get("ConfigMap", "clinic-config")["data"]
    assert {name: config[name] for name in SETTINGS} == SETTINGS
    assert not set(before) & set(fakes.settings_digests())
    assert jobs() == migrations
    write({})
    await fakes.until_ready()
    assert fakes.settings_digests() == before
    assert not set(SETTINGS) & set(fakes.cluster.get("ConfigMap", "clinic-config")["data"])


async def test_a_deleted_migration_runs_again() -> None:
    """After a restored backup a person deletes the Job, so that an earlier schema is migrated."""
    fakes = OperatorFakes()
    await fakes.until_ready()
    (name,) = fakes.cluster.names("Job")
    before = fakes.settings_digests()
    del fakes.cluster.objects["Job", KEY.namespace, name]
    await fakes.reconcile()
    assert fakes.cluster.names("Job") == [name]
    await fakes.until_ready()
    assert fakes.settings_digests() == before
