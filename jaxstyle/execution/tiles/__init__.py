"""Pictures larger than memory: exact gradients, tile by tile."""
