"""The computer: its files and standard streams, its memory and processors, and compiled programs.

Nothing here knows pictures or networks; ``convert_weights`` stands on it too.
"""
