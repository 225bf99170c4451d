"""The lines that the demo prints."""

from __future__ import annotations

from sandbox.demo.timeline import Fact, Timeline


def test_each_fact_once_with_its_seconds() -> None:
    lines: list[str] = []
    now = [100.0]
    timeline = Timeline(lines.append, lambda: now[0])
    old = Fact(("node", "ip-1"), "node", "ip-1 joined")
    timeline.know([old])
    timeline.start()
    now[0] = 101.234
    timeline.tell([old, Fact(("scale",), "scale", "default: 1 replica")])
    timeline.tell([Fact(("scale",), "scale", "default: 1 replica")])
    now[0] = 112.0
    timeline.tell([Fact(("scale",), "scale", "default: 0 replicas")])
    assert lines == ["   1.23 s  scale  default: 1 replica", "  12.00 s  scale  default: 0 replicas"]
    assert timeline.seconds == 12.0


def test_before_the_start_no_time_passes() -> None:
    assert Timeline(lambda line: None).seconds == 0
