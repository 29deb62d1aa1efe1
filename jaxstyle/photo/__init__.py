"""Photorealistic transfer: results that are a photo's own pixels under affine maps of color."""
