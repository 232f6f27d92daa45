"""The operator's objects for two owners: the smallest one, and one that uses every field."""

from typing import Any

from healthingest_operator.api.healthingest import HealthIngest, parse
from healthingest_operator.resources.children import foundations, workload
from healthingest_operator.resources.configuration import Surroundings, configuration
from healthingest_operator.resources.migration import migration_job
from healthingest_operator.resources.network_policy import Ports
from healthingest_operator.resources.pods import Build
from support.operator_fakes import manifest

BUILD = Build("service:1", "api", "relay", "migrate")
PORTS: Ports = {"store": (443,), "broker": (5671,), "database": (5432,), "cache": ()}
OWNERS = {
    "smallest": parse(manifest()),
    "everything": parse(
        manifest(
            autoscaling={"maxReplicas": 4},
            cache={"secretRef": {"name": "redis"}},
            tls={"caBundle": {"configMapKeyRef": {"name": "private-ca"}}},
            broker={
                "adminSecretRef": {"name": "rabbitmq"},
                "virtualHost": "clinic",
                "tls": {"clientCertificateSecretRef": {"name": "relay-client"}},
            },
            database={
                "secretRef": {"name": "postgres"},
                "tls": {"caBundle": {"secretKeyRef": {"name": "database-ca", "key": "root.pem"}}},
            },
            ingress={
                "host": "a.example",
                "className": "nginx",
                "tlsSecretName": "tls",
                "additionalHosts": [{"host": "b.example", "tlsSecretName": "tls-b"}],
                "annotations": {"a": "b"},
            },
            schemas={"mode": "Allowed", "configMapRef": {"name": "schemas"}},
            resources={"limits": {"memory": "1Gi"}},
            relay={"resources": {"limits": {"cpu": "500m"}}},
            janitor={"resources": {"limits": {"memory": "192Mi"}}},
            migration={"resources": {"requests": {"cpu": "10m"}}},
            spool={"size": "1Gi", "storageClassName": "fast"},
            tolerations=[{"key": "a", "operator": "Exists"}],
            nodeSelector={"a": "b"},
            affinity={"nodeAffinity": {}},
            topologySpreadConstraints=[
                {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"},
            ],
            podAnnotations={"team": "a", "sidecar.istio.io/inject": "false"},
            podLabels={"cost-center": "7", "app.kubernetes.io/name": "not-ours"},
            priorityClassName="important",
            runtimeClassName="gvisor",
            podSecurityContext={"runAsUser": 20001, "seLinuxOptions": {"level": "s0:c1,c2"}},
            securityContext={"runAsGroup": 0},
            serviceAccount={"annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/a"}},
            service={
                "type": "LoadBalancer",
                "annotations": {"a.example/internal": "true"},
                "labels": {"exposed": "yes"},
                "ipFamilyPolicy": "PreferDualStack",
            },
            proxy={"httpsProxy": "http://proxy.example:3128"},
            tracing={"endpoint": "http://collector.example:4318", "samplePercent": 10},
            accounts={
                "registration": "VerifiedOnly",
                "mail": {
                    "host": "smtp.example",
                    "sender": "ingest@a.example",
                    "publicUrl": "https://a.example",
                    "secretRef": {"name": "mail"},
                },
                "oidc": {
                    "issuers": [
                        {
                            "url": "https://login.example:8443/realms/research",
                            "audience": "healthingest",
                            "requiredGroups": ["clinic"],
                            "requiredScopes": ["ingest"],
                            "groupRoles": [
                                {"group": "clinic", "study": "sleep", "roles": ["uploader"]}
                            ],
                            "signIn": {
                                "clientId": "page",
                                "clientSecretRef": {"name": "login-client"},
                                "redirectUris": ["https://a.example/signed-in"],
                                "scopes": ["groups"],
                            },
                        }
                    ],
                    "tls": {"caBundle": {"configMapKeyRef": {"name": "login-ca"}}},
                },
            },
            extraEnv=[{"name": "TZ", "value": "UTC"}],
            hostAliases=[{"ip": "10.0.0.1", "hostnames": ["s3.example"]}],
            terminationGracePeriodSeconds=120,
            settings={"HEALTHINGEST_LIMITS__LOGINS": "60/hour"},
            imagePullSecrets=[{"name": "registry"}],
        )
    ),
}


def settings(owner: HealthIngest) -> dict[str, str]:
    """Return the values of its ConfigMap."""
    return configuration(owner.spec, Surroundings("broker:5672", "http://clinic"))


def objects(owner: HealthIngest) -> list[dict[str, Any]]:
    """Return all children."""
    return [
        *foundations(owner, settings(owner), PORTS),
        *workload(owner, BUILD),
        migration_job(owner, BUILD),
    ]
