"""What listeners heard, put together from their processes."""

from bench.listeners import STAMP_DIGITS, Heard, stamp, stamp_in


def test_an_event_is_as_late_as_the_last_of_all_processes() -> None:
    """Two processes heard one event: its members add up, and the later one counts."""
    heard = Heard()

    heard.add({"events": {"7": [2, 3.5]}, "tenths": {"10": 1, "35": 1}, "closed": [], "cpu_s": 0.5})
    heard.add(
        {"events": {"7": [1, 9.0], "8": [1, 1.0]}, "tenths": {"90": 1, "10": 1}, "closed": ["x"], "cpu_s": 1}
    )

    assert heard.members == {7: 3, 8: 1}
    assert heard.last_ms == {7: 9.0, 8: 1.0}
    assert heard.closed == ["x"]
    assert heard.cpu_s == 1.5


def test_percentiles_are_of_deliveries() -> None:
    """Ninety-nine deliveries of one millisecond and one of fifty: the median is one, the end fifty."""
    heard = Heard()
    heard.add({"events": {}, "tenths": {"10": 99, "500": 1}, "closed": [], "cpu_s": 0})

    assert heard.percentile(0.5) == 1.0
    assert heard.percentile(0.98) == 1.0
    assert heard.percentile(0.99) == 50.0
    assert (heard + heard).percentile(0.99) == 50.0


def test_a_stamp_is_found_in_what_carries_it() -> None:
    """Whatever stands around it."""
    text = stamp()

    assert stamp_in(b'{"text":"%s","more":1}' % text.encode()) == int(text[-STAMP_DIGITS:])
    assert stamp_in(b'{"text":"hello"}') is None


def test_what_comes_later_adds_to_what_came() -> None:
    """An event that some members had before the first look, and the rest after it."""
    first, second = Heard(), Heard()
    first.add({"events": {"7": [2, 3.5]}, "tenths": {"35": 2}, "closed": [], "cpu_s": 0})
    second.add({"events": {"7": [1, 2.0]}, "tenths": {"20": 1}, "closed": [], "cpu_s": 0})

    both = first + second

    assert both.members == {7: 3}
    assert both.last_ms == {7: 3.5}
