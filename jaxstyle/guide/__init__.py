"""Guided transfer: regions of the content, and what of the style pictures each of them takes."""
