"""The HTTPRoute and the Ingress: hosts, certificates, timeouts and sizes."""

from typing import Any

from healthingest_operator.api.healthingest import parse
from healthingest_operator.resources.children import route
from healthingest_operator.resources.configuration import service_url
from support.operator_fakes import manifest
from support.rendered import objects

PARENTS = [{"name": "public", "namespace": "gateways", "sectionName": "https"}]


def made(**wanted: object) -> dict[str, Any]:
    """Return the HTTPRoute of a spec."""
    found = route(parse(manifest(httpRoute={"parentRefs": PARENTS, **wanted})))
    assert found is not None
    return found


def test_the_route_sends_every_path_to_the_service() -> None:
    """With the timeout of a slow upload, because some Gateways allow 15 seconds only."""
    spec = made(hostnames=["a.example", "b.example"])["spec"]
    assert spec["parentRefs"] == PARENTS
    assert spec["hostnames"] == ["a.example", "b.example"]
    (rule,) = spec["rules"]
    assert rule["backendRefs"] == [{"name": "clinic", "port": 80}]
    assert rule["timeouts"] == {"request": "20m"}
    timeouts = {"request": "1h", "backendRequest": "30m"}
    assert made(timeouts=timeouts)["spec"]["rules"][0]["timeouts"] == timeouts


def test_the_url_is_that_of_the_first_host() -> None:
    """An Ingress takes precedence; without any host it is the address in the cluster."""

    def url(**spec: object) -> str:
        return service_url(parse(manifest(**spec)))

    both = {"parentRefs": PARENTS, "hostnames": ["a.example", "b.example"]}
    assert url(httpRoute=both) == "https://a.example"
    assert url(httpRoute={**both, "scheme": "http"}) == "http://a.example"
    assert url(httpRoute=both, ingress={"host": "c.example"}) == "http://c.example"
    assert url(httpRoute={"parentRefs": PARENTS}) == url()


def test_each_host_of_the_ingress_has_its_rule_and_certificate() -> None:
    """A host without a Secret has no TLS."""
    more = [{"host": "b.example", "tlsSecretName": "tls-b"}, {"host": "c.example"}]
    wanted = {"host": "a.example", "tlsSecretName": "tls-a", "additionalHosts": more}
    (found,) = [one for one in objects(parse(manifest(ingress=wanted))) if one["kind"] == "Ingress"]
    rules = found["spec"]["rules"]
    assert [rule["host"] for rule in rules] == ["a.example", "b.example", "c.example"]
    assert all(rule["http"] == rules[0]["http"] for rule in rules)
    assert found["spec"]["tls"] == [
        {"hosts": ["a.example"], "secretName": "tls-a"},
        {"hosts": ["b.example"], "secretName": "tls-b"},
    ]


def test_the_annotations_admit_the_largest_file_and_the_slowest_client() -> None:
    """NGINX's default of 1 MB and 60 seconds would refuse a file of 50 MB; users may change it."""
    own = {"nginx.ingress.kubernetes.io/proxy-read-timeout": "5"}
    (found,) = [
        one
        for one in objects(parse(manifest(ingress={"host": "a.example", "annotations": own})))
        if one["kind"] == "Ingress"
    ]
    annotations = found["metadata"]["annotations"]
    for name in ("nginx.ingress.kubernetes.io/proxy-body-size", "nginx.org/client-max-body-size"):
        assert int(annotations[name]) > 50 * 2**20
    assert annotations["nginx.ingress.kubernetes.io/proxy-send-timeout"] == "900"
    assert annotations["nginx.ingress.kubernetes.io/proxy-read-timeout"] == "5"
