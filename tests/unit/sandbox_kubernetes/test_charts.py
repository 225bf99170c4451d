from __future__ import annotations

import io
import json
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from sandbox.kubernetes import chart_archive, charts, helm_template, karpenter_chart, keda_chart
from sandbox.kubernetes.binary_cache import Cache
from sandbox.kubernetes.build_error import BuildError
from sandbox.kubernetes.versions import KARPENTER, KEDA
from sandbox.state import State


@pytest.fixture
def rendered(real_cache: Path) -> Any:
    """Renders a packaged chart with helm."""

    def render(chart: str, *arguments: str) -> list[dict[str, Any]]:
        entry = Cache(real_cache)
        file = next(name for name in charts.FILES if name.startswith(chart))
        command = [entry.bin / "helm", "template", chart, charts.directory(entry) / file, "--namespace", "scaling"]
        done = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=60, check=False)
        if done.returncode:
            raise ValueError(done.stderr)
        return [document for document in yaml.safe_load_all(done.stdout) if document]

    return render


def only(documents: list[dict[str, Any]], kind: str, name: str) -> dict[str, Any]:
    (found,) = [item for item in documents if item["kind"] == kind and item["metadata"]["name"] == name]
    return found


def container(documents: list[dict[str, Any]], deployment: str) -> dict[str, Any]:
    found: dict[str, Any] = only(documents, "Deployment", deployment)["spec"]["template"]["spec"]["containers"][0]
    return found


def test_keda_as_published(rendered: Any) -> None:
    documents = rendered("keda")
    operator, adapter = container(documents, "keda-operator"), container(documents, "keda-operator-metrics-apiserver")
    assert operator["image"] == f"ghcr.io/kedacore/keda:{KEDA}"
    assert adapter["image"] == f"ghcr.io/kedacore/keda-metrics-apiserver:{KEDA}"
    assert {"--cert-dir=/certs", "--enable-webhook-patching=false", "--leader-elect"} <= set(operator["args"])
    assert "--metrics-service-address=keda-operator.scaling.svc.cluster.local:9666" in adapter["args"]
    assert operator["readinessProbe"]["initialDelaySeconds"] == 20
    assert operator["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": 8081}
    service = only(documents, "APIService", "v1beta1.external.metrics.k8s.io")["spec"]["service"]
    assert only(documents, "Service", service["name"])["metadata"]["namespace"] == service["namespace"] == "scaling"
    for item in documents:
        assert item["metadata"].get("namespace", "scaling") in ("scaling", "kube-system")


def test_keda_selects_the_pods_that_it_makes(rendered: Any) -> None:
    documents = rendered("keda", "--set", "podLabels.keda.app=mine", "--set", "podLabels.keda.team=images")
    for name in ("keda-operator", "keda-operator-metrics-apiserver"):
        spec = only(documents, "Deployment", name)["spec"]
        assert spec["selector"]["matchLabels"].items() <= spec["template"]["metadata"]["labels"].items()
        assert spec["selector"]["matchLabels"] == only(documents, "Service", name)["spec"]["selector"]
    labels = only(documents, "Deployment", "keda-operator")["spec"]["template"]["metadata"]["labels"]
    assert labels["team"] == "images"


def test_keda_takes_the_published_charts_values(rendered: Any, tmp_path: Path) -> None:
    values = {
        "crds": {"install": False},
        "image": {"keda": {"registry": "mirror.example", "repository": "k/keda", "tag": "2.21.0-x"}},
        "operator": {"replicaCount": 2, "readinessProbe": {"initialDelaySeconds": 1}},
        "serviceAccount": {"operator": {"name": "scaler"}},
        "resources": {"operator": {"requests": {"cpu": "1"}, "limits": None}},
        "extraArgs": {"keda": {"kube-api-qps": 50}, "metricsAdapter": {"v": 4}},
        "env": [{"name": "A", "value": "1"}],
        "tolerations": [{"key": "CriticalAddonsOnly", "operator": "Exists"}],
        "nodeSelector": {"pool": "system"},
        "logging": {"operator": {"format": "json"}},
        "webhooks": {"enabled": False},
    }
    file = tmp_path / "values.yaml"
    file.write_text(yaml.safe_dump(values))
    documents = rendered("keda", "--values", str(file))
    operator, adapter = container(documents, "keda-operator"), container(documents, "keda-operator-metrics-apiserver")
    spec = only(documents, "Deployment", "keda-operator")["spec"]
    assert operator["image"] == "mirror.example/k/keda:2.21.0-x"
    assert spec["replicas"] == 2
    assert operator["readinessProbe"]["initialDelaySeconds"] == 1
    assert operator["readinessProbe"]["periodSeconds"] == 3
    assert operator["resources"] == {"requests": {"cpu": "1", "memory": "100Mi"}}
    assert operator["args"][-1] == "--kube-api-qps=50"
    assert "--zap-encoder=json" in operator["args"]
    assert adapter["args"][-1] == "--v=4"
    for one in (operator, adapter):
        assert {"name": "A", "value": "1"} in one["env"]
    pod = spec["template"]["spec"]
    assert pod["serviceAccountName"] == "scaler"
    assert pod["nodeSelector"] == {"kubernetes.io/os": "linux", "pool": "system"}
    assert pod["tolerations"] == values["tolerations"]
    accounts = {subject["name"] for item in documents for subject in item.get("subjects", ())}
    assert accounts == {"scaler", "horizontal-pod-autoscaler"}
    assert not [item for item in documents if item["kind"] == "CustomResourceDefinition"]


def test_keda_refuses_a_value_that_it_would_ignore(rendered: Any) -> None:
    with pytest.raises(ValueError, match=r"additional properties 'replicas' not allowed"):
        rendered("keda", "--set", "operator.replicas=2")


def test_kedas_definitions_are_corrected_as_its_kustomization_does(rendered: Any) -> None:
    documents = rendered("keda")
    definitions = [item for item in documents if item["kind"] == "CustomResourceDefinition"]
    assert len(definitions) == 6
    job = only(definitions, "CustomResourceDefinition", "scaledjobs.keda.sh")
    schema = job["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    assert "metricType" not in schema["triggers"]["items"]["properties"]
    containers = schema["jobTargetRef"]["properties"]["template"]["properties"]["spec"]["properties"]["containers"]
    assert "protocol" in containers["items"]["properties"]["ports"]["items"]["required"]


def test_karpenter_runs_the_version_that_was_compiled(rendered: Any) -> None:
    documents = rendered("karpenter-1", "--set", "settings.clusterName=sd")
    (deployment,) = [item for item in documents if item["kind"] == "Deployment"]
    image = deployment["spec"]["template"]["spec"]["containers"][0]["image"]
    assert image == f"public.ecr.aws/karpenter/controller:{KARPENTER}"
    assert deployment["metadata"]["labels"]["app.kubernetes.io/version"] == KARPENTER


def test_karpenters_definitions(rendered: Any) -> None:
    names = {item["metadata"]["name"] for item in rendered("karpenter-crd")}
    assert {"nodepools.karpenter.sh", "nodeclaims.karpenter.sh", "ec2nodeclasses.karpenter.k8s.aws"} <= names


def test_a_sandbox_gets_its_own_copies(real_cache: Path, state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(real_cache.parents[1]))
    charts.package(state)
    assert sorted(file.name for file in state.charts.iterdir()) == sorted(charts.FILES)


def test_charts_that_vanished_from_the_cache(root: Path, state: State) -> None:
    with pytest.raises(BuildError, match=r"^The packaged charts are no longer in .*; start the sandbox again\.$"):
        charts.package(state)


def test_a_package_is_the_same_bytes_for_the_same_files() -> None:
    one = chart_archive.archive("x", {"Chart.yaml": "a", "templates/b.yaml": "ü"})
    assert one == chart_archive.archive("x", {"templates/b.yaml": "ü", "Chart.yaml": "a"})
    with tarfile.open(fileobj=io.BytesIO(one)) as tar:
        assert tar.getnames() == ["x/Chart.yaml", "x/templates/b.yaml"]
        content = tar.extractfile("x/templates/b.yaml")
        assert content is not None
        assert content.read().decode() == "ü"


def test_a_karpenter_module_of_another_shape_is_refused(tmp_path: Path) -> None:
    chart = tmp_path / "charts" / "karpenter"
    chart.mkdir(parents=True)
    (chart / "Chart.yaml").write_text("version: 1.0.0\nappVersion: 1.0.0\n")
    (chart / "values.yaml").write_text("controller:\n  image:\n    tag: 1.0.0\n")
    with pytest.raises(BuildError, match=r"values\.yaml has 0 lines like"):
        karpenter_chart.files(tmp_path, "karpenter", "1.2.3")
    with pytest.raises(BuildError, match=r"^Karpenter 1\.2\.3 has no chart karpenter-crd in"):
        karpenter_chart.files(tmp_path, "karpenter-crd", "1.2.3")


def test_a_keda_module_of_another_shape_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"^KEDA 2\.99\.0's manifests in .* cannot be made a chart: FileNotFoundError"):
        keda_chart.files(tmp_path, "2.99.0")


def test_expressions_come_out_unquoted_at_their_place() -> None:
    expressions = helm_template.Expressions()
    manifest = {
        "name": expressions.value(".Values.name"),
        "address": f"svc.{expressions.value('.Release.Namespace')}.local",
        "spec": {"args": ["--first", expressions.items(".Values.more", ".")]},
    }
    assert expressions.dump(manifest) == (
        "name: {{ .Values.name }}\n"
        "address: svc.{{ .Release.Namespace }}.local\n"
        "spec:\n"
        "  args:\n"
        "  - --first\n"
        "{{- range .Values.more }}\n"
        "  - {{ toJson (.) }}\n"
        "{{- end }}\n"
    )


def test_a_schema_closes_what_has_names_and_leaves_the_rest_open() -> None:
    schema = helm_template.closed_schema({"a": {"b": 1}, "any": {}, "free": {"x": 1}}, frozenset({"free"}))
    assert json.loads(json.dumps(schema)) == {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "a": {"type": "object", "additionalProperties": False, "properties": {"b": {}}},
            "any": {"type": "object"},
            "free": {"type": "object"},
        },
    }
