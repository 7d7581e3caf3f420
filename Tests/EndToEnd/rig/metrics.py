"""Reads Prometheus' text format and OpenMetrics strictly: what is not as the format says fails the test."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from .client import Connection, wait_until
from .gateway import free_port

SAMPLE = re.compile(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)')
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(?:,|$)')
SUFFIXES = {"counter": ("", "_total"), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}


@dataclass
class Page:
    """The families of a page: type and help by name, and the samples by name and labels."""
    types: dict = field(default_factory=dict)
    helps: dict = field(default_factory=dict)
    samples: dict = field(default_factory=dict)

    def value(self, name: str, **labels) -> float:
        """The sum of the samples that have these labels; 0 where there is none."""
        wanted = set(labels.items())
        return sum(v for (n, have), v in self.samples.items() if n == name and wanted <= set(have))


def parse(text: str, open_metrics: bool = False) -> Page:
    page, family = Page(), None
    lines = text.split("\n")
    assert lines.pop() == "", "the last line has no end"
    if open_metrics:
        assert lines.pop() == "# EOF"
    for line in lines:
        if line.startswith("# HELP "):
            name, page_help = line[7:].split(" ", 1)
            assert name not in page.helps, f"{name} stands twice"
            page.helps[name] = page_help
        elif line.startswith("# TYPE "):
            family, kind = line[7:].split(" ")
            assert family in page.helps and family not in page.types
            page.types[family] = kind
        else:
            match = SAMPLE.fullmatch(line)
            assert match, f"no sample: {line!r}"
            name, labels, value = match.groups()
            assert name in {family + s for s in SUFFIXES[page.types[family]]}, f"{name} stands under {family}"
            pairs, at = [], 0
            while labels and at < len(labels):
                pair = LABEL.match(labels, at)
                assert pair, f"labels: {labels!r}"
                pairs.append((pair.group(1), re.sub(r"\\(.)", lambda m: "\n" if m[1] == "n" else m[1], pair.group(2))))
                at = pair.end()
            key = name, tuple(sorted(pairs))
            assert key not in page.samples, f"{line!r} stands twice"
            page.samples[key] = float(value)
    check_histograms(page)
    return page


def check_histograms(page: Page) -> None:
    series = {}
    for (name, labels), value in page.samples.items():
        if name.endswith("_bucket"):
            rest = tuple(pair for pair in labels if pair[0] != "le")
            series.setdefault((name[:-7], rest), []).append((float(dict(labels)["le"]), value))
    for (name, labels), buckets in series.items():
        bounds, counts = zip(*sorted(buckets))
        assert list(counts) == sorted(counts) and bounds[-1] == float("inf")
        assert counts[-1] == page.samples[f"{name}_count", labels]
        assert page.samples[f"{name}_sum", labels] >= 0


class Metrics:
    """The listener of `metrics` of a gateway."""

    def __init__(self, start_gateway, sites, machine="", **options):
        self.port = free_port()
        self.gateway = start_gateway(sites, f"metrics 127.0.0.1:{self.port}\n{machine}", **options)

    def get(self, target, **fields):
        with Connection(("127.0.0.1", self.port)) as connection:
            return connection.get(target, "anything", **fields)

    def page(self):
        response = self.get("/metrics")
        assert response.status == 200
        return parse(response.text)

    def value(self, name, **labels):
        return self.page().value(name, **labels)

    def expect(self, expected, name, **labels):
        """Waits until the value is that. What a client sees of an end may come before the end is counted."""
        wait_until(lambda: self.value(name, **labels) == expected, what=f"{name} {labels} {expected}")
