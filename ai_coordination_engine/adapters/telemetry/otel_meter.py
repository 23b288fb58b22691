"""Measurements through OpenTelemetry's SDK."""

from opentelemetry.metrics import Counter, Histogram, MeterProvider

from ai_coordination_engine.domain.instruments import INSTRUMENTS, Instrument, Measurement


class OtelMeter:
    """The instruments of a provider."""

    def __init__(self, provider: MeterProvider) -> None:
        meter = provider.get_meter("ai_coordination_engine")

        def made(row: Instrument) -> Counter | Histogram:
            if row.kind == "counter":
                return meter.create_counter(row.name, row.unit, row.description)
            return meter.create_histogram(
                row.name,
                row.unit,
                row.description,
                explicit_bucket_boundaries_advisory=row.buckets,
            )

        self._instruments = {row.name: made(row) for row in INSTRUMENTS}

    def measure(self, measured: Measurement) -> None:
        """Add a value."""
        instrument = self._instruments[measured.instrument.name]
        if isinstance(instrument, Counter):
            instrument.add(measured.value, measured.labels)
        else:
            instrument.record(measured.value, measured.labels)
