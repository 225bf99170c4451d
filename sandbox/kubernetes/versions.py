"""Which Kubernetes programs the sandbox runs: name, version, Go module, and how each is compiled.

The modules' own dependencies are pinned by `binaries/<folder>/go.mod` and go.sum; a test holds both in agreement.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sandbox.kubernetes import patches
from sandbox.kubernetes.patches import Patch

__all__ = ["BINARIES", "BUILD_FLAGS", "KARPENTER", "KEDA", "KUBERNETES", "LINKER_FLAGS", "Binary", "required_go"]

KUBERNETES = "1.35.4"
ETCD = "3.6.8"
HELM = "3.20.2"
KARPENTER = "1.14.3"
KEDA = "2.21.0"

# How all of them are compiled: from exactly the modules in go.sum, without this machine's paths and debug tables.
BUILD_FLAGS = ("-mod=readonly", "-trimpath")
LINKER_FLAGS = "-s -w"

_FOLDERS = Path(__file__).resolve().parent / "binaries"

_MAJOR, _MINOR, _ignored = KUBERNETES.split(".")
_STAMPED = "k8s.io/component-base/version"
# What `kube-apiserver --version` and the /version endpoint answer; without it helm's version checks fail.
_KUBERNETES_STAMP = (
    f"-X {_STAMPED}.gitVersion=v{KUBERNETES} -X {_STAMPED}.gitMajor={_MAJOR} -X {_STAMPED}.gitMinor={_MINOR}"
    f" -X {_STAMPED}.gitTreeState=clean"
)


@dataclass(frozen=True, kw_only=True)
class Binary:
    """One program.

    Attributes:
        name: of the file, as on a PATH.
        version: without a leading `v`.
        module: Go module that has it.
        package: Go package that is compiled.
        folder: subdirectory of `binaries` with the go.mod and go.sum to compile it by.
        stamp: linker flags that write the version into it.
        seconds: what compiling it took on 2 cores with empty caches; the rest of its folder compiled before it.
        version_arguments: what makes it print its version; None if nothing does (then Go's build information tells).
        patch: what the sandbox changes in it; None for all but two, see `patches`.
    """

    name: str
    version: str
    module: str
    package: str
    folder: str
    seconds: int
    stamp: str = ""
    version_arguments: tuple[str, ...] | None = ("--version",)
    patch: Patch | None = None

    @property
    def directory(self) -> Path:
        """Directory with its go.mod and go.sum."""
        return _FOLDERS / self.folder

    @property
    def label(self) -> str:
        """Name and version, for people."""
        return f"{self.name} {self.version}"


def _kubernetes(name: str, seconds: int) -> Binary:
    return Binary(
        name=name,
        version=KUBERNETES,
        module="k8s.io/kubernetes",
        package=f"k8s.io/kubernetes/cmd/{name}",
        folder="kubernetes",
        seconds=seconds,
        stamp=_KUBERNETES_STAMP,
    )


def _keda(name: str, package: str, seconds: int, patch: Patch | None = None) -> Binary:
    module = "github.com/kedacore/keda/v2"
    return Binary(
        name=name,
        version=KEDA,
        module=module,
        package=f"{module}/cmd/{package}",
        folder="keda",
        seconds=seconds,
        stamp=f"-X {module}/version.Version={KEDA}",
        version_arguments=None,
        patch=patch,
    )


# In the order in which they are compiled one after the other; those of one folder share most of their packages.
BINARIES = (
    Binary(
        name="etcd",
        version=ETCD,
        module="go.etcd.io/etcd/server/v3",
        package="go.etcd.io/etcd/server/v3",
        folder="etcd",
        seconds=35,
    ),
    _kubernetes("kube-apiserver", seconds=179),
    _kubernetes("kube-controller-manager", seconds=39),
    _kubernetes("kube-scheduler", seconds=4),
    Binary(
        name="helm",
        version=HELM,
        module="helm.sh/helm/v3",
        package="helm.sh/helm/v3/cmd/helm",
        folder="helm",
        seconds=48,
        stamp=f"-X helm.sh/helm/v3/internal/version.version=v{HELM}",
        version_arguments=("version", "--short"),
    ),
    Binary(
        name="karpenter",
        version=KARPENTER,
        module="github.com/aws/karpenter-provider-aws",
        package="github.com/aws/karpenter-provider-aws/cmd/controller",
        folder="karpenter",
        seconds=163,
        stamp=f"-X sigs.k8s.io/karpenter/pkg/operator.Version={KARPENTER}",
        version_arguments=None,
        patch=patches.karpenter(KARPENTER),
    ),
    _keda("keda-operator", "operator", seconds=275),
    _keda("keda-adapter", "adapter", seconds=60, patch=patches.keda_adapter(KEDA)),
)


def required_go() -> tuple[int, ...]:
    """The lowest Go version that compiles all of them: the highest `go` line of their go.mod files."""
    versions = []
    for directory in {binary.directory for binary in BINARIES}:
        for line in (directory / "go.mod").read_text().splitlines():
            if line.startswith("go "):
                versions.append(tuple(int(part) for part in line.split()[1].split(".")))
    return max(versions)
