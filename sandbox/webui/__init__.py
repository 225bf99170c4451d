"""Simulators of the WebUIs that draw the images: what they answer is real, what they draw is not."""
