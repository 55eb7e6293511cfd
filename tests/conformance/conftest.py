"""Asserts of the suites are explained like those of test modules."""

import pytest

pytest.register_assert_rewrite(
    "tests.conformance.warehouse_suite",
    "tests.conformance.platform_suite",
    "tests.conformance.date_suite",
    "tests.conformance.key_suite",
    "tests.conformance.measure_suite",
    "tests.conformance.no_rows_suite",
    "tests.conformance.partition_suite",
    "tests.conformance.write_stamp_suite",
)
