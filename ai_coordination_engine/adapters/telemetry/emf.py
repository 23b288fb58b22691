"""Measurements as CloudWatch's embedded metric format, on stdout: the log group reads them.

Source: Amazon CloudWatch user guide, "Specification: Embedded metric format".
"""

import json
from collections import defaultdict
from collections.abc import Callable
from threading import Lock

from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit

from ai_coordination_engine.domain.instruments import Instrument, Measurement

NAMESPACE = "AICoordinationEngine"
_MOST_VALUES = 99  # of a metric in one line; with one more, powertools writes it itself
_UNITS = {"s": MetricUnit.Seconds}

Labels = tuple[tuple[str, str], ...]


class EmfMeter:
    """Collects measurements and writes them, one line for each set of labels, when it is flushed.

    Thread-safe. The dimensions of a metric are its labels, with names such as `RuntimeKind`.
    """

    def __init__(self, service: str, write: Callable[[str], None]) -> None:
        self._service, self._write = service, write
        self._lock = Lock()
        self._values: dict[Labels, dict[Instrument, list[float]]] = defaultdict(dict)

    def measure(self, measured: Measurement) -> None:
        """Add a value; counts are added up until they are written."""
        labels = tuple(measured.labels.items())
        with self._lock:
            values = self._values[labels].setdefault(measured.instrument, [])
            if measured.instrument.kind == "counter" and values:
                values[0] += measured.value
            else:
                values.append(measured.value)

    def flush(self) -> None:
        """Write what was measured since the last time."""
        with self._lock:
            collected, self._values = self._values, defaultdict(dict)
        for labels, values in collected.items():
            most = max(map(len, values.values()))
            for first in range(0, most, _MOST_VALUES):
                parts = {each: kept[first : first + _MOST_VALUES] for each, kept in values.items()}
                self._write(self._line(labels, parts))

    def _line(self, labels: Labels, values: dict[Instrument, list[float]]) -> str:
        metrics = EphemeralMetrics(namespace=NAMESPACE, service=self._service)
        for label, value in labels:
            metrics.add_dimension(_dimension(label), value)
        for instrument, numbers in values.items():
            unit = _UNITS.get(instrument.unit, MetricUnit.Count)
            for number in numbers:
                metrics.add_metric(instrument.emf_name, unit, number)
        return json.dumps(metrics.serialize_metric_set())


def _dimension(label: str) -> str:
    """`ace.runtime.kind` as `RuntimeKind`."""
    words = label.removeprefix("ace.").removeprefix("gen_ai.").replace("_", ".").split(".")
    return "".join(word.capitalize() for word in words)
