"""The way of make demo, warm: sandbox, site.yml, the two reference requests."""

from __future__ import annotations

from figures import Figure, Sandbox

from support.shell import IMAGES


def run(sandbox: Sandbox) -> list[Figure]:
    """Each part of make demo, site.yml again, and as reference a playbook of as many modules that do nothing."""
    parts = {
        "sandbox up": sandbox.up(),
        "sandbox push": sandbox.run("sandbox", "push", "--state", str(sandbox.state), *IMAGES),
        "site.yml": sandbox.playbook("playbooks/site.yml", "--inventory", "inventories/sandbox"),
        "two requests, from nothing to pictures": sandbox.run("python", "-m", "sandbox.demo"),
    }
    again = sandbox.playbook("playbooks/site.yml", "--inventory", "inventories/sandbox")
    modules = sandbox.playbook("modules")
    reference = "as many modules that do nothing"
    figures = [
        Figure(name=name, seconds=seconds, reference=reference, reference_seconds=modules)
        if name == "site.yml"
        else Figure(name=name, seconds=seconds)
        for name, seconds in parts.items()
    ]
    return [
        *figures,
        Figure(name="make demo, warm", seconds=sum(parts.values()), goal="90 s"),
        Figure(name="site.yml again", seconds=again, reference=reference, reference_seconds=modules),
    ]
