"""The recorder is a script, and needs PyTorch: pytest is not to import it in search of doctests."""

collect_ignore = ["record.py", "published.py"]
