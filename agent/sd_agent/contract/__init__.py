"""What intake, agent, sweep and client agree on: tasks, messages, answers, names, routes. Standard library only."""
