"""Scripts that pytest is not to import in search of doctests: they need PyTorch, or a path."""

collect_ignore = ["record.py", "published.py", "few_channels.py"]
