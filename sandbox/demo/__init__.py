"""`python -m sandbox.demo`: two requests through the whole system, told stage by stage."""
