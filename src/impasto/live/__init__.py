"""A camera's pictures repainted as they come, shown in the browser of this computer."""
