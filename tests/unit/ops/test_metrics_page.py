"""The metrics of all processes on one page."""

from ops.metrics_page import merged

ONE = """\
# HELP ring_bytes Bytes held.
# TYPE ring_bytes gauge
ring_bytes 5.0
# HELP chat_total Messages.
# TYPE chat_total counter
chat_total{room="a b"} 1.0
# HELP lag_seconds Lag.
# TYPE lag_seconds histogram
lag_seconds_bucket{le="+Inf"} 2.0
lag_seconds_count 2.0
"""
TWO = """\
# HELP ring_bytes Bytes held.
# TYPE ring_bytes gauge
ring_bytes 7.0
"""


def test_each_sample_names_its_process_and_each_family_stands_once() -> None:
    """A scraper accepts the page: one head a family, all its samples below it."""
    page = merged([("gateway-1", ONE), ("gateway-2", TWO)])

    assert page.splitlines() == [
        "# HELP ring_bytes Bytes held.",
        "# TYPE ring_bytes gauge",
        'ring_bytes{process="gateway-1"} 5.0',
        'ring_bytes{process="gateway-2"} 7.0',
        "# HELP chat_total Messages.",
        "# TYPE chat_total counter",
        'chat_total{process="gateway-1",room="a b"} 1.0',
        "# HELP lag_seconds Lag.",
        "# TYPE lag_seconds histogram",
        'lag_seconds_bucket{process="gateway-1",le="+Inf"} 2.0',
        'lag_seconds_count{process="gateway-1"} 2.0',
    ]


def test_a_process_that_does_not_answer_leaves_the_others() -> None:
    """An empty exposition adds nothing."""
    assert merged([("gateway-1", ""), ("gateway-2", TWO)]).count("process=") == 1
    assert merged([]) == ""
