"""When pods are rolled."""

from support.operator_world import KEY, FakeWorld

SETTINGS = {"HEALTHINGEST_LIMITS__LOGINS": "7/minute"}


async def test_a_changed_setting_rolls_api_and_relay() -> None:
    """It reaches their ConfigMap, and the digest in both pod templates; no migration runs again."""
    world = FakeWorld()
    await world.until_ready()

    def digests() -> list[str]:
        found = (world.cluster.get("Deployment", name) for name in ("clinic-api", "clinic-relay"))
        return [
            item["spec"]["template"]["metadata"]["annotations"]["healthingest.dev/settings"]
            for item in found
        ]

    def write(settings: dict[str, str]) -> None:
        live = world.cluster.get("HealthIngest", KEY.name)
        live["spec"]["settings"] = settings
        live["metadata"]["generation"] += 1

    def jobs() -> list[str]:
        return sorted(name for kind, _, name in world.cluster.objects if kind == "Job")

    before = digests()
    migrations = jobs()
    write(SETTINGS)
    await world.until_ready()
    config = world.cluster.get("ConfigMap", "clinic-config")["data"]
    assert {name: config[name] for name in SETTINGS} == SETTINGS
    assert not set(before) & set(digests())
    assert jobs() == migrations
    write({})
    await world.until_ready()
    assert digests() == before
    assert not set(SETTINGS) & set(world.cluster.get("ConfigMap", "clinic-config")["data"])
