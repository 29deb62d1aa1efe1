"""Benchmarks of jaxstyle: python -m bench COMMAND."""
