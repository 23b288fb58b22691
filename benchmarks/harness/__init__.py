"""What tests and benchmarks share: drivers of the application in process, and an emulator of
AWS.
"""
