"""Keep pytest from looking for doctests in scripts: some need packages that tests do without."""

collect_ignore = ["bench", "docs", "examples"]
