"""impasto repaints a photo in the style of a painting."""

__version__ = "0.1.0"
