"""The scheduled Lambda that finishes what a crash left between two steps, with or without an agent running."""
