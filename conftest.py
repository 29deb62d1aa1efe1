"""Keep pytest from looking for doctests in scripts: some need packages that the tests do without."""

collect_ignore = ["bench", "docs", "examples"]
