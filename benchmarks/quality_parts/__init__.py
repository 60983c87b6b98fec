"""Tables of benchmarks/quality.py, one a file."""
