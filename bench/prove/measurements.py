"""The measurements of `make prove`: the promises, two at a time, then what must run alone."""

from typing import Final

from prove.model import Measurement

CLUSTER: Final = "it needs a cluster: `make e2e` (`LONG=1` for the rarer ones)"
LIMITER: Final = "tests/ports/test_rate_limiter.py"
UPLOAD: Final = "tests/service/api/test_upload.py"
SUBJECTS: Final = "tests/ports/test_uploads_of_subjects.py"

MEASUREMENTS: Final = (
    Measurement(
        "faults",
        deadline_seconds=660,
        command=("tests/faults/run.py", "--short", "--seed", "{seed}", "--json", "{json}"),
    ),
    Measurement(
        "erasure",
        deadline_seconds=300,
        command=("tests/faults/erase.py", "--short", "--seed", "{seed}", "--json", "{json}"),
    ),
    Measurement(
        "folder",
        deadline_seconds=240,
        command=(
            "tests/faults/folder.py",
            "--count",
            "300",
            "--seed",
            "{seed}",
            "--json",
            "{json}",
        ),
    ),
    Measurement(
        "consumers",
        deadline_seconds=90,
        command=(
            "tests/faults/consume.py",
            "--count",
            "300",
            "--seed",
            "{seed}",
            "--json",
            "{json}",
        ),
    ),
    Measurement(
        "identical",
        deadline_seconds=120,
        tests=("tests/ports/test_identical_uploads.py",),
    ),
    Measurement(
        "withdrawal",
        deadline_seconds=60,
        tests=(f"{SUBJECTS}::test_nothing_completes_after_a_withdrawal_was_answered",),
    ),
    Measurement(
        "without-redis",
        deadline_seconds=60,
        tests=(
            f"{LIMITER}::test_nobody_there_means_counting_alone",
            f"{LIMITER}::test_a_silent_server_costs_a_deadline_and_no_more",
        ),
    ),
    Measurement(
        "unavailable",
        deadline_seconds=60,
        tests=(f"{UPLOAD}::test_says_when_to_come_again_while_a_dependency_is_unavailable",),
    ),
    Measurement(
        "hostile-files",
        deadline_seconds=120,
        tests=(
            "tests/ports/test_hostile_uploads.py",
            "tests/gate/test_schema_places.py",
            "tests/gate/test_hostile_files.py::test_each_is_refused_with_its_code",
        ),
    ),
    Measurement("explain", deadline_seconds=180, tests=("tests/cluster/test_plugin_explain.py",)),
    Measurement(
        "page-size",
        deadline_seconds=60,
        tests=("tests/service/api/test_page.py::test_is_small",),
    ),
    Measurement(
        "page",
        deadline_seconds=180,
        tests=(
            "tests/ports/test_page.py::test_no_other_host_is_asked",
            "tests/ports/test_page.py::test_no_rule_of_accessibility_is_violated",
        ),
    ),
    Measurement(
        "growth",
        deadline_seconds=90,
        command=("bench/growth.py", "--rows", "20000", "--json", "{json}"),
    ),
    Measurement(
        "histories",
        deadline_seconds=90,
        command=("-m", "simulation.run", "--seeds", "200", "--start", "{seed}", "--json", "{json}"),
    ),
    Measurement("cluster", deadline_seconds=0, elsewhere=CLUSTER),
    Measurement(
        "gate",
        deadline_seconds=150,
        command=("bench/gate.py", "--quick", "--json", "{json}"),
        is_alone=True,
    ),
    Measurement(
        "uploads",
        deadline_seconds=300,
        command=("bench/upload.py", "--quick", "--json", "{json}"),
        is_alone=True,
    ),
    Measurement(
        "study-cost",
        deadline_seconds=150,
        command=("bench/study_cost.py", "--rounds", "3", "--seconds", "1.5", "--json", "{json}"),
        is_alone=True,
    ),
    Measurement(
        "outage",
        deadline_seconds=120,
        command=("bench/outage.py", "--minutes", "0.5", "--rate", "40", "--json", "{json}"),
        is_alone=True,
    ),
    Measurement(
        "dead-letters",
        deadline_seconds=120,
        command=("bench/dead_letters.py", "--letters", "4000", "--json", "{json}"),
        is_alone=True,
    ),
    Measurement(
        "revocations",
        deadline_seconds=90,
        command=("bench/revocations.py", "--count", "4", "--json", "{json}"),
        is_alone=True,
    ),
    Measurement(
        "rebuild",
        deadline_seconds=90,
        command=("bench/rebuild.py", "--rows", "5000", "--json", "{json}"),
        is_alone=True,
    ),
    Measurement(
        "operator",
        deadline_seconds=240,
        command=(
            "bench/operator_scale.py",
            "--count",
            "20",
            "--minutes",
            "0.5",
            "--python",
            "{operator}",
            "--json",
            "{json}",
        ),
        is_alone=True,
    ),
    Measurement(
        "enumeration",
        deadline_seconds=120,
        command=("bench/enumeration.py", "--count", "300", "--json", "{json}"),
        is_alone=True,
    ),
)
