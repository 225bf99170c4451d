"""queue_routing: one call for the whole list, beside the community modules in a loop over the same list."""

from __future__ import annotations

import json

from figures import Figure, Sandbox


def run(sandbox: Sandbox) -> list[Figure]:
    """10 and 100 runtimes, made and then unchanged."""
    sandbox.up("--only", "aws")
    figures = []
    for count in (10, 100):
        runtimes = [{"name": f"r{number}", "models": [f"m{number}.safetensors"]} for number in range(count)]
        variables = ("--extra-vars", json.dumps({"name": f"b{count}", "runtimes": runtimes}))
        empty = sandbox.playbook("nothing")
        made = sandbox.playbook("queue_routing", *variables)
        again = sandbox.playbook("queue_routing", *variables)
        figures.append(Figure(name="ansible-playbook that does nothing", seconds=empty))
        looped: tuple[float | None, float | None] = (None, None)
        if count == 10:  # ten times as many only take ten times as long
            community = ("--extra-vars", json.dumps({"name": f"c{count}", "runtimes": runtimes}))
            looped = (sandbox.playbook("community", *community), sandbox.playbook("community", *community))
        for what, seconds, reference in (("made", made, looped[0]), ("unchanged", again, looped[1])):
            figures.append(
                Figure(
                    name=f"{count} runtimes, {what}",
                    seconds=seconds,
                    reference="community modules in a loop",
                    reference_seconds=reference,
                    goal="5 s" if (count, what) == (100, "unchanged") else "",
                )
            )
    return figures
