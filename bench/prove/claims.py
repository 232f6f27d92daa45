"""
The claims of the README and of the documents, each with the figure that shows it and its goal.

`make prove` measures them. A test fails if a document no longer has a quoted text, or if the README
has a number or a "never" that neither a claim quotes nor NO_CLAIMS names.

A goal is the claim itself where it is a promise or a limit. A documented ratio is reached with
SHORT_FORM of it. Absolute speeds depend on the machine, so their claims compare two servers of one
run; only our own targets are absolute. Of the ratios of two processors, the worse is the base.
"""

from typing import Final

from prove.model import SHORT_FORM, Claim, Goal, Quote

README: Final = "README.md"
PROMISE: Final = "docs/explanation/promise.md"
MEASURED: Final = "docs/reference/measurements.md"
SIZE: Final = "docs/how-to/size.md"
GROWTH: Final = "docs/reference/growth.md"
ERASE: Final = "docs/how-to/erase-a-person.md"

NONE: Final = Goal("=", 0)
NO_FAILED_TEST: Final = Goal("=", 0, "tests failed")

NO_CLAIMS: Final = (
    "You need Kubernetes 1.31 or later",
    "You need Python 3.11",
    "[tus 1.0 and the IETF's draft]",
    "version 0.1.0 is not released",
    "| Kubernetes | 1.31 or later |",
    "| RabbitMQ | 4 |",
    "| PostgreSQL | 17 |",
    "| Python, to develop | 3.11 or later |",
    "[Apache 2.0]",
)
"""Texts of the README whose numbers are versions and names."""


def about(ratio: float, unit: str = "times") -> Goal:
    """Return the goal of a documented ratio, in a short run."""
    return Goal("≥", round(ratio * SHORT_FORM, 2), unit)


_UPLOADS_ROW: Final = Quote(
    README,
    "| uploads of 20 kB, per second | 307 | 4,079, unchecked | 221 | 30 |",
)
_LARGE_ROW: Final = Quote(
    README, "| uploads of 50 MB to a folder, MB/s | 263 | 1,349, unchecked | 7.8 |"
)
_STORED: Final = Quote(
    README,
    "**An upload that was answered with success is stored and will be announced. "
    "A refused upload leaves nothing behind.**",
)

CLAIMS: Final = (
    Claim(
        "lost",
        "acknowledged uploads that are lost, with faults of every process and server",
        (
            _STORED,
            Quote(PROMISE, "is stored and will be announced at least once"),
            Quote(MEASURED, "0 lost, 0 unexpected"),
        ),
        "faults",
        "lost",
        NONE,
    ),
    Claim(
        "unexpected",
        "announcements of files that were refused or not sent",
        (_STORED, Quote(PROMISE, "A refused upload leaves nothing behind.")),
        "faults",
        "unexpected",
        NONE,
    ),
    Claim(
        "invariants",
        "violated invariants, faults without effect and fault points that were not reached",
        (
            Quote(README, "sending the file again gives one object, one row, one receipt"),
            Quote(PROMISE, "or a fault point was never reached."),
            Quote(PROMISE, "memory, open files, spooled bytes and waiting messages stay below"),
        ),
        "faults",
        "wrong",
        NONE,
    ),
    Claim(
        "erasure-left",
        "marks and hashes of erased people found on the disks of all servers",
        (
            Quote(PROMISE, "What was confirmed as erased is nowhere, and does not come back"),
            Quote(MEASURED, "nothing of the erased was found"),
        ),
        "erasure",
        "left",
        NONE,
    ),
    Claim(
        "erasure-acknowledged",
        "uploads acknowledged after the erasure of their subject was answered",
        (
            Quote(PROMISE, "no upload of its scope is acknowledged"),
            Quote(ERASE, "From the answer on, uploads about the subject are refused with 410"),
        ),
        "erasure",
        "acknowledged_late",
        NONE,
    ),
    Claim(
        "erasure-retries",
        "erased files that are accepted when they are sent again",
        (
            Quote(PROMISE, "The same bytes about the same person are refused for ever"),
            Quote(ERASE, "Afterwards the same bytes about the same person are refused."),
        ),
        "erasure",
        "retries_accepted",
        NONE,
    ),
    Claim(
        "erasure-certificates",
        "certificates of erasures that do not verify",
        (
            Quote(ERASE, "Anybody can verify it"),
            Quote(MEASURED, "All 14 certificates verify"),
        ),
        "erasure",
        "unverified",
        NONE,
    ),
    Claim(
        "erasure-restores",
        "restored databases that are not erased again",
        (Quote(PROMISE, "A database that was restored from an earlier backup is erased again"),),
        "erasure",
        "restores_not_erased",
        NONE,
    ),
    Claim(
        "erasure-others",
        "files of other people that an erasure harms",
        (Quote(MEASURED, "all 3,868 files of the others were intact"),),
        "erasure",
        "others_harmed",
        NONE,
    ),
    Claim(
        "erasure-whole",
        "other faults in the run of the erasure",
        (Quote(PROMISE, "so a blind search fails"),),
        "erasure",
        "wrong",
        NONE,
    ),
    Claim(
        "gate",
        "the gate validates sensor records, times a read by fastavro",
        (
            Quote(
                README,
                "The gate validates sensor records 61 times as fast as fastavro reads them",
            ),
            Quote(MEASURED, "| wearable | 566 | 61 | 157 | 18 | 0.91 | 0.24 | 0.45 |"),
        ),
        "gate",
        "wearable/null/times_fastavro",
        about(61),
    ),
    Claim(
        "gate-deflate",
        "the same, compressed with deflate",
        (Quote(README, "18 times as fast if they are compressed with deflate"),),
        "gate",
        "wearable/deflate/times_fastavro",
        about(18),
    ),
    Claim(
        "gate-strings",
        "strings, times a read by fastavro",
        (Quote(MEASURED, "10 times for strings and unions"),),
        "gate",
        "strings/null/times_fastavro",
        about(10),
    ),
    Claim(
        "gate-unions",
        "unions, times a read by fastavro",
        (Quote(MEASURED, "10 times for strings and unions"),),
        "gate",
        "unions/null/times_fastavro",
        about(10),
    ),
    Claim(
        "gate-memory",
        "memory that the gate needs for a file of sensor records",
        (Quote(MEASURED, "No file needed more than 1.5 MiB"),),
        "gate",
        "wearable/null/memory_mib",
        Goal("≤", 1.4 / SHORT_FORM, "MiB"),
    ),
    Claim(
        "uploads-plain",
        "uploads of 20 kB a second, times a plain service that reads the file with fastavro",
        (_UPLOADS_ROW, Quote(MEASURED, "8.9 times, missed")),
        "uploads",
        "20_kb/times_plain",
        about(393 / 44),  # AMD EPYC
    ),
    Claim(
        "uploads-tusd",
        "the same, of tusd, which does not check the files",
        (_UPLOADS_ROW,),
        "uploads",
        "20_kb/of_tusd",
        about(297 / 4790, "of tusd"),  # the least of ours by the most of its rounds
    ),
    Claim(
        "uploads-hook",
        "the same, times tusd with a hook that reads the file with fastavro",
        (_UPLOADS_ROW,),
        "uploads",
        "20_kb/times_tusd_with_hook",
        about(321 / 265),  # AMD EPYC
    ),
    Claim(
        "uploads-p99",
        "their 99th percentile latency, of that of the plain service",
        (Quote(README, "| their 99th percentile latency | 121 ms | 26 ms | 163 ms | 929 ms |"),),
        "uploads",
        "20_kb/p99_of_plain",
        Goal("≤", round(100 / 557 / SHORT_FORM, 2), "of plain"),  # AMD EPYC
    ),
    Claim(
        "uploads-large",
        "uploads of 50 MB to a folder, MB/s, of tusd, which does not check the files",
        (_LARGE_ROW,),
        "uploads",
        "50_mb/folder_of_tusd",
        about(263 / 1349, "of tusd"),
    ),
    Claim(
        "uploads-large-hook",
        "the same, times tusd with a hook that reads the file with fastavro",
        (_LARGE_ROW, Quote(MEASURED, "at least 20 times tusd with the hook")),
        "uploads",
        "50_mb/folder_times_tusd_with_hook",
        Goal("≥", 20, "times"),
    ),
    Claim(
        "uploads-s3",
        "uploads of 50 MB to S3, MB/s, of discarding the body",
        (Quote(MEASURED, "0.06, missed"),),
        "uploads",
        "50_mb/s3_of_discard",
        about(0.06, "of discarding"),
    ),
    Claim(
        "uploads-memory",
        "memory for each of 20 concurrent uploads of 50 MB",
        (
            Quote(SIZE, "5 to 9 MiB for each concurrent upload of 50 MB"),
            Quote(MEASURED, "memory for each concurrent upload of 50 MB, at most 8 MiB"),
        ),
        "uploads",
        "memory_mib_per_upload",
        Goal("≤", 8 / SHORT_FORM, "MiB"),
    ),
    Claim(
        "study-default",
        "uploads a second to the study `default`, of the service before studies",
        (Quote(MEASURED, "1.66 (1.57 to 1.89)"),),
        "study-cost",
        "default study/of_before",
        Goal("≥", 0.95, "of before"),
    ),
    Claim(
        "study-subject",
        "uploads a second about a subject, of the service before studies",
        (Quote(MEASURED, "1.44 (1.36 to 1.51)"),),
        "study-cost",
        "study/of_before",
        Goal("≥", 0.95, "of before"),
    ),
    Claim(
        "outage-accepted",
        "uploads that are not accepted while the broker is down",
        (
            Quote(README, "uploads continue; messages wait in the database"),
            Quote(PROMISE, "Uploads continue while the broker is unavailable"),
        ),
        "outage",
        "not_accepted",
        NONE,
    ),
    Claim(
        "outage-ready",
        "requests for readiness that fail while the broker is down",
        (Quote(MEASURED, "Readiness was true in all of 1,211 requests."),),
        "outage",
        "not_ready",
        NONE,
    ),
    Claim(
        "outage-announced",
        "uploads of the outage that are not announced afterwards",
        (Quote(README, "are published later, possibly more than once"),),
        "outage",
        "not_announced",
        NONE,
    ),
    Claim(
        "outage-drained",
        "messages that are published a second after the outage",
        (
            Quote(SIZE, "the relay publishes about 3,900 a second"),
            Quote(MEASURED, "12,121 messages followed at 3,898/s (target 1,000)"),
        ),
        "outage",
        "drained_per_second",
        Goal("≥", 1000, "/s"),
    ),
    Claim(
        "folder-wrong",
        "files of a folder that are missing or double, over cut connections and kills",
        (
            Quote(README, "sends each file once, also if it is interrupted"),
            Quote(MEASURED, "Files that are missing or came twice: 0."),
        ),
        "folder",
        "wrong",
        NONE,
    ),
    Claim(
        "folder-sent",
        "bytes sent per byte accepted, with a cut every 2 MB",
        (
            Quote(README, "with a cut every 2 MB a client sends at most 5 % more"),
            Quote(MEASURED, "Bytes sent per byte accepted: 1.016, target 1.05."),
        ),
        "folder",
        "sent_per_byte",
        Goal("≤", 1.05, "bytes"),
    ),
    Claim(
        "dead-letters",
        "dead letters that are shown, published again and settled a second",
        (Quote(MEASURED, "14.5 s in all; the aim is 60 s"),),
        "dead-letters",
        "per_second",
        Goal("≥", round(10_000 / 60), "/s"),
    ),
    Claim(
        "revoked",
        "the longest time until another process refuses a revoked device token",
        (Quote(MEASURED, "the other process hears of it by NOTIFY | 0.005 s | 0.008 s | 1 s"),),
        "revocations",
        "with NOTIFY/longest_seconds",
        Goal("≤", 1, "s"),
    ),
    Claim(
        "revoked-by-hand",
        "the same for a token that is revoked in the database itself",
        (Quote(MEASURED, "without NOTIFY | 3.996 s | 4.037 s | 5 s"),),
        "revocations",
        "without NOTIFY/longest_seconds",
        Goal("≤", 5, "s"),
    ),
    Claim(
        "rebuild-missing",
        "uploads that a rebuild of the database from the bucket does not find",
        (Quote(README, "[adds its uploads again]"),),
        "rebuild",
        "missing",
        NONE,
    ),
    Claim(
        "rebuild-differ",
        "rebuilt databases whose rows differ from the uploads",
        (Quote(MEASURED, "afterwards all rows equal"),),
        "rebuild",
        "differ",
        NONE,
    ),
    Claim(
        "rebuild-announced",
        "rebuilt uploads that are not announced",
        (Quote(README, "and announces them"),),
        "rebuild",
        "not_waiting",
        NONE,
    ),
    Claim(
        "rebuild-speed",
        "rows that are rebuilt a second",
        (Quote(MEASURED, "an empty database, target 300"),),
        "rebuild",
        "per_second",
        about(100_000 / 300, "/s"),
    ),
    Claim(
        "consumers-lost",
        "uploads without an effect, with consumers that are killed at random",
        (Quote(MEASURED, "Uploads without an effect: 0, with two: 0."),),
        "consumers",
        "without_effect",
        NONE,
    ),
    Claim(
        "consumers-double",
        "uploads with two effects",
        (Quote(MEASURED, "Uploads without an effect: 0, with two: 0."),),
        "consumers",
        "with_two",
        NONE,
    ),
    Claim(
        "identical",
        "a thousand clients that send the same file create one upload",
        (Quote(PROMISE, "create one upload: one object, one row, one message"),),
        "identical",
        "failed",
        NO_FAILED_TEST,
    ),
    Claim(
        "withdrawal",
        "after a withdrawal is confirmed, no upload about the subject succeeds",
        (Quote(README, "After a withdrawal is confirmed, no upload about the subject succeeds."),),
        "withdrawal",
        "failed",
        NO_FAILED_TEST,
    ),
    Claim(
        "without-redis",
        "requests are counted without Redis",
        (Quote(README, "requests never fail with 500, and are never unlimited"),),
        "without-redis",
        "failed",
        NO_FAILED_TEST,
    ),
    Claim(
        "unavailable",
        "uploads are answered with 503 and Retry-After while a dependency is unavailable",
        (Quote(README, "uploads are answered with 503 and `Retry-After`"),),
        "unavailable",
        "failed",
        NO_FAILED_TEST,
    ),
    Claim(
        "hostile-files",
        "a damaged or malicious file is refused with the place and a code, and never a value",
        (
            Quote(README, "and never repeats a value"),
            Quote(README, "422 with the place and a [reason code]"),
            Quote(README, ", never a value; the service continues"),
        ),
        "hostile-files",
        "failed",
        NO_FAILED_TEST,
    ),
    Claim(
        "explain",
        "`kubectl healthingest explain` names the cause and the remedy of each seeded fault",
        (Quote(README, "[names the cause and the remedy]"),),
        "explain",
        "failed",
        NO_FAILED_TEST,
    ),
    Claim(
        "page-size",
        "all files of the page have at most 150 kB",
        (Quote(MEASURED, "All 22 files have 36.7 kB compressed (limit 150 kB)."),),
        "page-size",
        "failed",
        NO_FAILED_TEST,
    ),
    Claim(
        "page",
        "the page asks no other host, and violates no rule of accessibility",
        (Quote(README, "it works with the keyboard alone and without other hosts"),),
        "page",
        "failed",
        NO_FAILED_TEST,
    ),
    Claim(
        "operator-writes",
        "writes of the operator to Kubernetes while nothing changes",
        (Quote(MEASURED, "no Kubernetes write at rest"),),
        "operator",
        "writes_at_rest",
        NONE,
    ),
    Claim(
        "operator-memory",
        "memory of the operator",
        (Quote(MEASURED, "resident memory at most 200 MiB"),),
        "operator",
        "resident_mib",
        Goal("≤", 200, "MiB"),
    ),
    Claim(
        "operator-rest",
        "processor time of the operator while nothing changes",
        (Quote(MEASURED, "at most 0.1 core at rest"),),
        "operator",
        "cores_at_rest",
        Goal("≤", 0.1, "cores"),
    ),
    Claim(
        "operator-deleted",
        "99th percentile of the time until deleted HealthIngests are gone",
        (Quote(MEASURED, "200 deleted at once, p99 within 30 s | 9.0 s"),),
        "operator",
        "deleted_p99_seconds",
        Goal("≤", 30, "s"),
    ),
    Claim(
        "growth-upload",
        "bytes of the row of an upload with its indexes",
        (Quote(GROWTH, "[`retention_days`](api.md#studies) | 1,109 |"),),
        "growth",
        "upload",
        Goal("≤", round(1109 * 1.1), "bytes"),
    ),
    Claim(
        "growth-tombstone",
        "bytes of the tombstone of an upload with its indexes",
        (Quote(MEASURED, "its tombstone after an erasure 382"),),
        "growth",
        "tombstone",
        Goal("≤", round(382 * 1.1), "bytes"),
    ),
    Claim(
        "enumeration",
        "deviation of the time of an answer about a foreign id from that about an unknown one",
        (Quote(MEASURED, "the aim is 0.95 to 1.05. The answers are equal."),),
        "enumeration",
        "largest_deviation",
        Goal("≤", 0.05),
    ),
    Claim(
        "histories",
        "simulated histories of the operator that fail",
        (Quote(MEASURED, "Each reached the desired state and left nothing behind; 0 failed."),),
        "histories",
        "failed",
        NONE,
    ),
    Claim(
        "children",
        "seconds until a changed or deleted child is restored",
        (Quote(MEASURED, "a changed or deleted child is restored within 5 s"),),
        "cluster",
        "restored_seconds",
        Goal("≤", 5, "s"),
    ),
    Claim(
        "rotation",
        "uploads that fail while credentials are rotated",
        (
            Quote(README, "**Rotation of all credentials that the operator creates**, while"),
            Quote(MEASURED, "credentials rotated during uploads: no upload fails"),
        ),
        "cluster",
        "failed_uploads",
        NONE,
    ),
)
