"""The series of `make bench`, in the order of the page."""

from typing import Final

from benchmarks.model import Figure, Series

PER_SECOND: Final = Figure("per_second", "Uploads a second", "uploads/s")
P99: Final = Figure("p99_ms", "99th percentile latency", "ms")
RATE: Final = Figure("mb_per_s", "Speed", "MB/s")
PROCESSOR: Final = Figure("processor_ms", "Processor time of an upload", "ms")

SERIES: Final = (
    Series(
        "gate",
        "The Avro gate and readers",
        "Each program reads the same records with codec `null` on one core. Apache avro, fastavro "
        "and polars make objects or columns of them; the gate only validates. Polars reads no "
        "file of some kinds.",
        "records",
        "bars",
        (RATE,),
    ),
    Series(
        "small",
        "Uploads of 20 kB",
        "16 clients send files of 20 kB without pause. The plain service and the hook of tusd "
        "compute the SHA-256, read each record with fastavro, put the file into S3 and publish a "
        "message. tusd alone only stores the bytes in a folder. HealthIngest does more than all: "
        "accounts, limits, a database, an outbox and an audit log.",
        "file",
        "bars",
        (PER_SECOND, P99, PROCESSOR),
    ),
    Series(
        "large",
        "Uploads of 50 MB",
        "One client sends one file after the other. `discard` is the HTTP server of HealthIngest "
        "with a handler that discards the body.",
        "file",
        "bars",
        (RATE, PROCESSOR),
    ),
    Series(
        "size",
        "Growth of the file",
        "One client sends one file after the other. The plain service and the hook of tusd read "
        "files of at most 10 MB here, because a full read with fastavro takes minutes for more.",
        "bytes",
        "lines",
        (RATE, Figure("ms", "Median time of an upload", "ms")),
    ),
    Series(
        "concurrency",
        "Growth of the number of clients",
        "Each client sends files of 20 kB without pause.",
        "clients",
        "lines",
        (PER_SECOND, P99),
    ),
    Series(
        "accounts",
        "Growth of the number of accounts",
        "16 clients send files of 20 kB, each of the next account.",
        "accounts",
        "lines",
        (PER_SECOND, P99),
    ),
    Series(
        "rows",
        "Growth of the database",
        "16 clients send files of 20 kB, while so many uploads are in the database, with "
        "as many events of the audit log. PostgreSQL has 128 MB of shared buffers. At 0 the "
        "tables are new.",
        "rows",
        "lines",
        (PER_SECOND, P99, Figure("database_ms", "Processor time of PostgreSQL", "ms")),
    ),
    Series(
        "replicas",
        "Growth of the number of API processes",
        "16 clients, distributed over the processes as by a load balancer. Clients, servers and "
        "processes share the processors, so more processes than processors cannot help.",
        "processes",
        "lines",
        (PER_SECOND, P99),
    ),
    Series(
        "operator",
        "Growth of the number of HealthIngests",
        "One operator with a real API server. The bench does the work of controllers and kubelets.",
        "HealthIngests",
        "lines",
        (
            Figure("all_ready_seconds", "From a restart until all are found ready", "s"),
            Figure("resident_mib", "Memory", "MiB"),
            Figure("cores_at_rest", "Processor time at rest", "cores"),
            Figure("deleted_p99_seconds", "Deletion of up to 200 at once, p99", "s"),
        ),
    ),
    Series(
        "demands",
        "Processor time of an upload by component",
        "16 clients send files of 20 kB; the time includes what follows from an upload, until no "
        "message waits. [How it scales](../explanation/scaling.md) uses these figures.",
        "component",
        "bars",
        (PROCESSOR,),
    ),
)
