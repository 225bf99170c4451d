"""The queue agent: takes a task from its runtime's queue to an answer."""
