"""
The operator's settings: environment variables `HEALTHINGEST_OPERATOR_…`.

A setting is the chart value `operator.<name>`, in camelCase, unless a table here has another name.
`make settings` generates these values of the chart and the reference from this module.
"""

from collections.abc import Mapping
from typing import Final, Self

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from healthingest_operator.reconcile.leader_election import ElectionTimes

CHART_VALUES: Final[Mapping[str, str]] = {
    "service_image": "serviceImage",
    "namespaces": "watchNamespaces",
    "log_level": "logLevel",
    "lease_duration_seconds": "leaderElection.leaseDurationSeconds",
    "lease_renew_deadline_seconds": "leaderElection.renewDeadlineSeconds",
    "lease_retry_period_seconds": "leaderElection.retryPeriodSeconds",
    "rotate_after_days": "rotation.afterDays",
    "consumer_grace_seconds": "rotation.consumerGraceSeconds",
}
"""Settings whose chart value has a name of its own."""

WRITTEN_BY_CHART: Final[Mapping[str, str]] = {
    "health_port": "the probes of the chart name this port",
    "metrics_port": "the Service and the NetworkPolicy of the chart name this port",
    "lease_namespace": "the chart writes the namespace of the release",
    "lease_name": "the chart writes the name of the release",
}
"""Settings without a chart value, and the reason."""


class Settings(BaseSettings):
    """
    The operator's settings, from environment variables.

    A variable is the field's name in upper case with the prefix. `namespaces` is a comma-separated
    list; empty: all namespaces.
    """

    model_config = SettingsConfigDict(
        env_prefix="HEALTHINGEST_OPERATOR_", extra="ignore", frozen=True
    )

    service_image: str = Field(
        description="Image of the service that a HealthIngest gets unless it names another."
    )
    namespaces: str = Field(
        default="", description="Namespaces to serve, separated by commas; empty: all of them."
    )
    log_level: str = Field(default="INFO", description="Least level that is logged.")
    health_port: int = Field(default=8080, description="Port of /healthz.")
    metrics_port: int = Field(default=8081, description="Port of /metrics.")
    lease_namespace: str = Field(
        default="",
        description="Namespace of the Lease that elects the leading operator; empty: no election.",
    )
    lease_name: str = Field(default="healthingest-operator", description="Name of that Lease.")
    lease_duration_seconds: float = Field(
        default=15.0,
        gt=0,
        le=3600,
        description="Seconds without a renewal after which another operator takes the Lease.",
    )
    lease_renew_deadline_seconds: float = Field(
        default=10.0,
        gt=0,
        le=3600,
        description="Seconds without a renewal after which the operator that leads steps down.",
    )
    lease_retry_period_seconds: float = Field(
        default=2.0,
        gt=0,
        le=3600,
        description="Seconds between two renewals, or two attempts to take the Lease.",
    )
    workers: int = Field(default=8, ge=1, le=10_000, description="HealthIngests worked on at once.")
    resync_seconds: float = Field(
        default=3600.0,
        gt=0,
        le=2_592_000,
        description="Seconds between full reconciliations of a Ready HealthIngest.",
    )
    external_check_seconds: float = Field(
        default=45.0,
        gt=0,
        le=86_400,
        description="Longest time in seconds between two checks of broker, bucket and Secrets of a"
        " Ready HealthIngest.",
    )
    rotate_after_days: float = Field(
        default=0.0,
        ge=0,
        le=36_500,
        description="Age in days at which a HealthIngest's own credentials are rotated; 0: never.",
    )
    consumer_grace_seconds: float = Field(
        default=3600.0,
        ge=0,
        le=31_536_000,
        description="Seconds that the consumers' old user stays valid after a rotation.",
    )
    deletions: int = Field(
        default=8, ge=1, le=10_000, description="HealthIngests taken down at once."
    )
    deletion_deadline_seconds: float = Field(
        default=40.0,
        ge=0,
        le=86_400,
        description="Seconds after which a deletion leaves unreachable things behind.",
    )
    kubernetes_timeout_seconds: float = Field(
        default=15.0, gt=0, le=3600, description="Deadline of a Kubernetes request."
    )
    dependency_timeout_seconds: float = Field(
        default=10.0,
        gt=0,
        le=3600,
        description="Deadline of a request to broker, object store or database.",
    )

    @model_validator(mode="after")
    def _lease_times_are_in_order(self) -> Self:
        """Check the lease times: a leader must give up before another one takes over."""
        _ = self.election_times
        return self

    @property
    def election_times(self) -> ElectionTimes:
        """Return the periods of the leader election."""
        return ElectionTimes(
            self.lease_duration_seconds,
            self.lease_renew_deadline_seconds,
            self.lease_retry_period_seconds,
        )

    @property
    def namespace_list(self) -> list[str]:
        """Return the namespaces, each once."""
        return sorted({name.strip() for name in self.namespaces.split(",") if name.strip()})
