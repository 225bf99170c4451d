"""The Lambda behind the API: validate, claim in the task table, publish."""
