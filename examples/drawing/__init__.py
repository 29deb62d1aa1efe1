"""The style pictures of the examples, drawn from nothing with NumPy and Pillow."""
