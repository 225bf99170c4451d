"""Images: their names, and which program of this machine stands for which.

An image of the embedded registry must have been pushed there, a third-party one must be in the list here; the table
says only what runs for an image that is there. In its words, $(BIN) is the directory of the Kubernetes binaries,
$(POD_IP), $(POD_NAMESPACE) and $(KUBECONFIG) are the pod's. A program listens on its pod's address only: told so by
an argument, or by the variable POD_IP (Karpenter and KEDA's adapter are changed to that end, see `kubernetes.patches`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from sandbox.kubernetes import versions

__all__ = ["OWN", "THIRD_PARTY", "Image", "Reference", "ThirdParty", "third_party"]

_HUB = "docker.io"
_PATH = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*")
_TAG = re.compile(r"[\w][\w.-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_ECR = re.compile(r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(?:\.cn)?")


@dataclass(frozen=True)
class Reference:
    """An image's name, parsed and completed as containerd does it (https://github.com/distribution/reference)."""

    registry: str
    repository: str
    tag: str | None
    digest: str | None

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Parse a name as it stands in a pod.

        Raises:
            ValueError: it is no image name.
        """
        rest, _ignored, digest = text.partition("@")
        head, slash, tail = rest.partition("/")
        registry, path = (head, tail) if slash and (set(".:") & set(head) or head == "localhost") else (_HUB, rest)
        path, _ignored, tag = path.partition(":")
        if registry == _HUB and "/" not in path:
            path = f"library/{path}"
        sound = _PATH.fullmatch(path) and (not tag or _TAG.fullmatch(tag)) and (not digest or _DIGEST.fullmatch(digest))
        if not sound or rest.endswith(":") or text.endswith("@"):
            raise ValueError(f'couldn\'t parse image name "{text}": invalid reference format')
        return cls(registry, path, tag or (None if digest else "latest"), digest or None)

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.registry}/{self.repository}{tag}{digest}"

    @property
    def ecr(self) -> tuple[str, str] | None:
        """Account and region of a private Amazon registry; None for any other."""
        match = _ECR.fullmatch(self.registry)
        return (match["account"], match["region"]) if match else None


@dataclass(frozen=True, kw_only=True)
class Image:
    """What runs for an image.

    Attributes:
        entrypoint: in place of the image's own program; none if the pod always names its command.
        own: starts of a pod's `command` that mean the image's own program: the entrypoint takes their place.
        arguments: added behind the pod's (of a flag given twice the last one wins).
        environment: added to the pod's.
    """

    entrypoint: tuple[str, ...] = ()
    own: tuple[tuple[str, ...], ...] = ()
    arguments: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ThirdParty:
    """An image of somebody else, taken for present in its registry; `tags` None means any."""

    image: Image
    tags: frozenset[str] | None = None


_KUBECONFIG_FLAGS = ("kubeconfig", "lister-kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig")
_UNBUFFERED = {"PYTHONUNBUFFERED": "1"}

# By repository of the embedded registry.
OWN = {
    "queue-agent": Image(
        entrypoint=("python", "-m", "sd_agent.worker"),
        own=(("python", "-m", "sd_agent.worker"),),
        environment=_UNBUFFERED,
    ),
    "a1111": Image(
        entrypoint=("python", "-m", "sandbox.webui.a1111"),
        own=(("python", "launch.py"), ("python", "webui.py")),
        environment=_UNBUFFERED,
    ),
}

# By registry and repository. Only the versions that the sandbox has binaries of: another one must not pass for it.
THIRD_PARTY = {
    "public.ecr.aws/karpenter/controller": ThirdParty(
        Image(
            entrypoint=("$(BIN)/karpenter",),
            environment={"LEADER_ELECTION_NAMESPACE": "$(POD_NAMESPACE)", "POD_IP": "$(POD_IP)"},
        ),
        frozenset({versions.KARPENTER}),
    ),
    "ghcr.io/kedacore/keda": ThirdParty(
        Image(
            entrypoint=("$(BIN)/keda-operator",),
            own=(("/keda",),),
            arguments=(
                "--metrics-bind-address=$(POD_IP):8080",
                "--health-probe-bind-address=$(POD_IP):8081",
                "--metrics-service-bind-address=$(POD_IP):9666",
            ),
            environment={"KEDA_CLUSTER_OBJECT_NAMESPACE": "$(POD_NAMESPACE)"},
        ),
        frozenset({versions.KEDA}),
    ),
    "ghcr.io/kedacore/keda-metrics-apiserver": ThirdParty(
        Image(
            entrypoint=("$(BIN)/keda-adapter",),
            own=(("/keda-adapter",),),
            arguments=(
                "--bind-address=$(POD_IP)",
                # The operator's certificate names the service, and its name in the address becomes a number.
                "--metrics-service-grpc-authority=keda-operator.$(POD_NAMESPACE).svc",
                *(f"--{flag}=$(KUBECONFIG)" for flag in _KUBECONFIG_FLAGS),
            ),
            environment={"POD_IP": "$(POD_IP)"},
        ),
        frozenset({versions.KEDA}),
    ),
    # For trials and tests; the interpreter is the sandbox's own whatever the tag says.
    "docker.io/library/python": ThirdParty(Image(entrypoint=("python",), environment=_UNBUFFERED)),
}


def third_party(reference: Reference) -> Image | None:
    """What stands for a third-party image; None if it is not in the list, or not with this tag."""
    entry = THIRD_PARTY.get(f"{reference.registry}/{reference.repository}")
    if entry is None or (entry.tags is not None and reference.tag not in entry.tags):
        return None
    return entry.image
