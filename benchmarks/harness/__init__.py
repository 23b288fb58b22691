"""Code that tests and benchmarks share: in-process drivers of the application, AWS emulators."""
