"""A Helm chart of KEDA made from the manifests in KEDA's Go module.

KEDA's published chart lives in a repository of its own, not in the module. This one has the published chart's value
names, object names and arguments, so that a role cannot tell them apart.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from sandbox.kubernetes.build_error import BuildError
from sandbox.kubernetes.helm_template import Expressions, closed_schema

__all__ = ["VALUES", "files"]

VALUES = Path(__file__).resolve().parent / "keda_values.yaml"

_MANIFESTS = (
    "service_account/service_account",
    "rbac/role",
    "rbac/role_binding",
    "rbac/aggregate_cluster_roles",
    "manager/manager",
    "manager/service",
    "metrics-server/role",
    "metrics-server/role_binding",
    "metrics-server/deployment",
    "metrics-server/service",
    "metrics-server/api_service",
)
_NAMESPACE = "keda"
_ADAPTER = "keda-metrics-apiserver"
_PUBLISHED_ADAPTER = "keda-operator-metrics-apiserver"
_FREE = frozenset({"resources.operator", "resources.metricServer", "resources.webhooks"})

# The custom resource definitions' descriptions hold braces, so they are read as files, not as templates.
_CRDS = """{{- if .Values.crds.install }}
{{- range $path, $_ := .Files.Glob "crd/*.yaml" }}
---
{{ $.Files.Get $path }}
{{- end }}
{{- end }}
"""


def files(module: Path, version: str) -> dict[str, str]:
    """The chart's files by their path in it.

    Args:
        module: directory of the Go module github.com/kedacore/keda/v2.
        version: of KEDA and of the chart.

    Raises:
        BuildError: the module's manifests are not what this was written for.
    """
    values: dict[str, Any] = yaml.safe_load(VALUES.read_text())
    schema = closed_schema({"global": {}, **values}, _FREE)
    chart = {
        "apiVersion": "v2",
        "name": "keda",
        "version": version,
        "appVersion": version,
        "type": "application",
        "description": "KEDA, packaged for the sandbox from the manifests in its Go module",
        "home": "https://github.com/kedacore/keda",
    }
    found = {
        "Chart.yaml": yaml.safe_dump(chart, sort_keys=False),
        "values.yaml": VALUES.read_text(),
        "values.schema.json": json.dumps({"$schema": "http://json-schema.org/draft-07/schema#", **schema}, indent=1),
        "templates/crds.yaml": _CRDS,
    }
    try:
        for manifest in _manifests(module):
            name = f"{manifest['kind']}-{manifest['metadata']['name']}".replace(":", "-").lower()
            found[f"templates/{name}.yaml"] = _template(manifest)
        for path, definition in _definitions(module):
            found[f"crd/{path}"] = definition
    except (OSError, KeyError, IndexError, TypeError, yaml.YAMLError) as error:
        raise BuildError(f"KEDA {version}'s manifests in {module} cannot be made a chart: {error!r}.") from error
    return found


def _manifests(module: Path) -> Iterator[dict[str, Any]]:
    for name in _MANIFESTS:
        for manifest in yaml.safe_load_all((module / "config" / f"{name}.yaml").read_text()):
            if manifest:
                yield manifest


def _template(manifest: dict[str, Any]) -> str:
    expressions = Expressions()
    account = expressions.value(".Values.serviceAccount.operator.name")
    manifest = _published(manifest, expressions)
    for subject in manifest.get("subjects", ()):
        if subject["name"] == "keda-operator":
            subject["name"] = account
    if manifest["kind"] == "ServiceAccount":
        manifest["metadata"]["name"] = account
        manifest["metadata"]["annotations"] = expressions.json(".Values.serviceAccount.operator.annotations")
    if manifest["kind"] == "Deployment":
        manifest["spec"]["template"]["spec"]["serviceAccountName"] = account
        if manifest["metadata"]["name"] == "keda-operator":
            _operator(manifest, expressions)
        else:
            _adapter(manifest, expressions)
    return expressions.dump(manifest)


def _published(node: Any, expressions: Expressions, key: str = "") -> Any:
    """The same with the release's namespace and version, and the names of the published chart."""
    if isinstance(node, dict):
        return {name: _published(value, expressions, name) for name, value in node.items()}
    if isinstance(node, list):
        return [_published(value, expressions) for value in node]
    if key == "namespace" and node == _NAMESPACE:
        return expressions.value(".Release.Namespace")
    if key == "app.kubernetes.io/version":
        return expressions.json(".Chart.AppVersion")
    return _PUBLISHED_ADAPTER if node == _ADAPTER else node


def _operator(manifest: dict[str, Any], expressions: Expressions) -> None:
    container = _deployment(manifest, expressions, image="keda", section="operator", pod="keda")
    level, encoder = (f".Values.logging.operator.{name}" for name in ("level", "format"))
    container["args"] = [
        *(argument for argument in container["args"] if not argument.startswith(("--zap-log-level", "--zap-encoder"))),
        f"--zap-log-level={expressions.value(level)}",
        f"--zap-encoder={expressions.value(encoder)}",
        # The published chart names it; without it nothing serves on port 9666 if the directory is another.
        "--cert-dir=/certs",
        f"--metrics-server-service-name={_PUBLISHED_ADAPTER}",
        "--enable-webhook-patching=false",
        _extra_arguments("keda", expressions),
    ]
    container["resources"] = expressions.json(".Values.resources.operator")


def _adapter(manifest: dict[str, Any], expressions: Expressions) -> None:
    container = _deployment(
        manifest, expressions, image="metricsApiServer", section="metricsServer", pod="metricsAdapter"
    )
    namespace = expressions.value(".Release.Namespace")
    container["args"] += [
        f"--metrics-service-address=keda-operator.{namespace}.svc.cluster.local:9666",
        _extra_arguments("metricsAdapter", expressions),
    ]
    container["resources"] = expressions.json(".Values.resources.metricServer")


def _deployment(
    manifest: dict[str, Any], expressions: Expressions, *, image: str, section: str, pod: str
) -> dict[str, Any]:
    """What both Deployments take from the values; returns the container.

    Args:
        image: name below `image`.
        section: name of the values' section for this Deployment.
        pod: name below `podLabels` and `podAnnotations`.
    """
    manifest["spec"]["replicas"] = expressions.json(f".Values.{section}.replicaCount")
    template = manifest["spec"]["template"]
    # What selects the pods wins over the user's labels.
    labels = " ".join(json.dumps(part) for pair in template["metadata"]["labels"].items() for part in pair)
    template["metadata"]["labels"] = expressions.json(f"merge (dict {labels}) .Values.podLabels.{pod}")
    template["metadata"]["annotations"] = expressions.json(f".Values.podAnnotations.{pod}")
    spec = template["spec"]
    spec["nodeSelector"] = expressions.json('merge (dict "kubernetes.io/os" "linux") .Values.nodeSelector')
    spec["tolerations"] = expressions.json(".Values.tolerations")
    spec["affinity"] = expressions.json(f".Values.{section}.affinity | default .Values.affinity")
    spec["topologySpreadConstraints"] = expressions.json(f".Values.topologySpreadConstraints.{section}")
    spec["priorityClassName"] = expressions.json(".Values.priorityClassName")
    container: dict[str, Any] = spec["containers"][0]
    container["image"] = expressions.text(
        "{{ with .Values.image." + image + " }}{{ with .registry }}{{ . }}/{{ end }}"
        "{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}"
    )
    container["imagePullPolicy"] = expressions.value(".Values.image.pullPolicy")
    for probe in ("livenessProbe", "readinessProbe"):
        request = {"httpGet": container[probe]["httpGet"]}
        container[probe] = expressions.json(f"merge (fromJson `{json.dumps(request)}`) .Values.{section}.{probe}")
    for variable in container["env"]:
        if variable["name"] == "WATCH_NAMESPACE":
            variable["value"] = expressions.json(".Values.watchNamespace")
    container["env"].append(expressions.items(".Values.env", "."))
    return container


def _extra_arguments(name: str, expressions: Expressions) -> str:
    # The last of two equal flags wins, so these come last.
    return expressions.items(f"$key, $value := .Values.extraArgs.{name}", 'printf "--%s=%v" $key $value')


def _definitions(module: Path) -> Iterator[tuple[str, str]]:
    """The custom resource definitions with the corrections that KEDA's kustomization makes."""
    directory = module / "config" / "crd"
    kustomization = yaml.safe_load((directory / "kustomization.yaml").read_text())
    patches = {entry["target"]["name"]: entry["path"] for entry in kustomization["patches"]}
    for resource in kustomization["resources"]:
        text = (directory / resource).read_text()
        definition = yaml.load(text, Loader=_Loader)
        patch = patches.get(definition["metadata"]["name"])
        if patch:
            for operation in yaml.safe_load((directory / patch).read_text()):
                _apply(definition, operation)
            text = yaml.dump(definition, Dumper=_Dumper, sort_keys=False, width=10_000)
        yield Path(resource).name, text


def _apply(document: Any, operation: dict[str, Any]) -> None:
    """Carry out one `add` or `remove` of JSON Patch (RFC 6902)."""
    *parents, last = (
        part.replace("~1", "/").replace("~0", "~") for part in operation["path"].removeprefix("/").split("/")
    )
    target = document
    for part in parents:
        target = target[int(part)] if isinstance(target, list) else target[part]
    if operation["op"] == "remove":
        del target[int(last) if isinstance(target, list) else last]
    elif operation["op"] != "add":
        raise KeyError(f"JSON patch operation {operation['op']}")
    elif last == "-":
        target.append(operation["value"])
    elif isinstance(target, list):
        target.insert(int(last), operation["value"])
    else:
        target[last] = operation["value"]


# libyaml is ten times faster on half a megabyte of definitions, and not in every build of PyYAML.
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_Dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
