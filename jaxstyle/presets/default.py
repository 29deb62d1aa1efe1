"""The house settings: a good picture within two minutes on two CPU cores."""

SETTINGS: dict = {}
