"""The house settings with patience: for a GPU, or for a coffee break."""

SETTINGS = {
    "size": 1024,
    "steps": (500, 400, 300, 200),
}
