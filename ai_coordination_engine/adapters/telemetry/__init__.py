"""Export spans and metrics: OpenTelemetry's SDK and OTLP, or CloudWatch's embedded metric format.

The SDK is imported only where the operator has configured it.
"""
