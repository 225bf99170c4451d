"""Configurations of the CDK project, written for these tests in its format, and what they become."""

from __future__ import annotations

import copy

import pytest
import yaml
from ansible.errors import AnsibleFilterError
from ansible_collections.stable_diffusion.eks.plugins.filter.runtimes_from_cdk import runtimes_from_cdk
from ansible_collections.stable_diffusion.eks.plugins.plugin_utils.runtimes import runtimes

CONFIGURATION = yaml.safe_load(
    """
stackName: pictures
modelBucketArn: arn:aws:s3:::our-models
modelsRuntime:
- name: anime
  namespace: painting
  type: sdwebui
  modelFilename: anime-v3.safetensors
  extraValues:
    karpenter:
      nodeTemplate:
        amiFamily: Bottlerocket
        dataVolume:
          volumeSize: 100Gi
          volumeType: gp3
          deleteOnTermination: true
          iops: 5000
          throughput: 750
          snapshotID: snap-0123456789abcdef0
        osVolume:
          volumeSize: 20Gi
      provisioner:
        instanceType: [g5.xlarge, g4dn.xlarge]
        capacityType: {spot: true, onDemand: false}
        extraTaints: [{key: team, effect: NoSchedule}]
    sdWebuiInferenceApi:
      scaling:
        enabled: true
        queueLength: 4
        cooldownPeriod: 90
        maxReplicaCount: 5
      inferenceApi:
        image:
          repository: registry.example.com/webui
          tag: "1.10.1"
        commandArguments: --xformers --medvram
      queueAgent:
        image:
          repository: registry.example.com/agent
          tag: latest
      persistence:
        enabled: true
        existingClaim: models
- name: any
  namespace: painting
  type: sdwebui
  modelFilename: anime-v1.safetensors
  dynamicModel: true
  extraValues:
    sdWebuiInferenceApi:
      inferenceApi:
        image:
          repository: registry.example.com/webui
          tag: latest
"""
)
DEFAULTS = {"agent": {"image": "registry.example.com/queue-agent:0.1.0"}}


def test_what_has_a_place_is_carried_over():
    anime, other = runtimes_from_cdk(CONFIGURATION)["sd_runtimes"]
    assert anime == {
        "name": "anime",
        "namespace": "painting",
        "models": ["anime-v3.safetensors"],
        "scaling": {"queue_length": 4, "cooldown_period": 90, "max_replicas": 5},
        "persistence": {"existing_claim": "models"},
        "webui": {
            "kind": "a1111",
            "image": "registry.example.com/webui:1.10.1",
            "args": ["--xformers", "--medvram"],
        },
        "nodes": {
            "instance_types": ["g5.xlarge", "g4dn.xlarge"],
            "capacity_types": ["spot"],
            "data_volume": {
                "size": "100Gi",
                "type": "gp3",
                "iops": 5000,
                "throughput": 750,
                "snapshot_id": "snap-0123456789abcdef0",
                "delete_on_termination": True,
            },
        },
    }
    assert other["dynamic"] is True
    assert "models" not in other


def test_what_has_none_is_told_with_its_entry():
    one, two, values = "modelsRuntime[0] (anime)", "modelsRuntime[1] (any)", "extraValues.sdWebuiInferenceApi"
    pin = "pin a version, latest is refused"
    agent = "the agent is another program: give agent in sd_runtime_defaults"
    nodes = "extraValues.karpenter"
    volume = "only the data volume can be chosen"
    dynamic = "a dynamic runtime takes every model that no other lists"
    assert runtimes_from_cdk(CONFIGURATION)["not_carried_over"] == [
        f"{one}: {values}.queueAgent.image is registry.example.com/agent:latest: {pin}",
        f"{one}: {values}.queueAgent.image is not carried over: {agent}",
        f"{one}: {nodes}.nodeTemplate.osVolume.volumeSize is not carried over: {volume}",
        f"{one}: {nodes}.provisioner.extraTaints is not carried over",
        f"{two}: modelFilename is not carried over: {dynamic}",
        f"{two}: {values}.inferenceApi.image is registry.example.com/webui:latest: {pin}",
        "config: stackName is not carried over: choose sd_name",
        "config: modelBucketArn is not carried over: models have a bucket of this system",
    ]


def test_the_inventory_takes_it_once_latest_is_pinned():
    pinned = copy.deepcopy(CONFIGURATION)
    pinned["modelsRuntime"][1]["extraValues"]["sdWebuiInferenceApi"]["inferenceApi"]["image"]["tag"] = "1.10.1"
    _ignored, problems = runtimes(runtimes_from_cdk(pinned)["sd_runtimes"], "sd", DEFAULTS)
    assert problems == []
    _ignored, problems = runtimes(runtimes_from_cdk(CONFIGURATION)["sd_runtimes"], "sd", DEFAULTS)
    assert [problem for problem in problems if "latest" in problem] == problems != []


def test_the_later_chart_and_the_earlier_dynamic_runtime():
    carried = runtimes_from_cdk(
        {
            "modelsRuntime": [
                {
                    "name": "graphs",
                    "type": "comfyui",
                    "extraValues": {
                        "runtime": {"inferenceApi": {"extraEnv": {"A": "1"}}, "scaling": {"queueLength": 2}}
                    },
                }
            ],
            "dynamicModelRuntime": {"enabled": True, "namespace": "painting"},
        }
    )
    assert carried["sd_runtimes"] == [
        {"name": "graphs", "webui": {"kind": "comfyui", "env": {"A": "1"}}, "scaling": {"queue_length": 2}},
        {"name": "dynamic", "namespace": "painting", "dynamic": True},
    ]
    assert carried["not_carried_over"] == [
        "modelsRuntime[0] (graphs): modelFilename is missing: give the runtime models, dynamic or tier",
        "dynamicModelRuntime: its runtime had no name here and is called dynamic",
    ]


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ({"type": "others"}, "type is not carried over: there is no WebUI others here"),
        ({"extraValues": {"karpenter": {"nodeTemplate": {"amiFamily": "AL2"}}}}, "nodes run Bottlerocket, not AL2"),
        ({"extraValues": {"karpenter": {"provisioner": {"consolidation": False}}}}, "consolidate_after: Never"),
        ({"extraValues": {"runtime": {"persistence": {"enabled": True}}}}, "it names no existingClaim"),
        ({"extraValues": {"runtime": {"persistence": {"size": "2Ti"}}}}, "name one as persistence.existing_claim"),
        ({"extraValues": {"runtime": {"scaling": {"enabled": False}}}}, "every runtime is scaled"),
        ({"extraValues": {"runtime": {"inferenceApi": {"image": "reg/webui"}}}}, "an image without a tag is refused"),
        ({"extraValues": {"runtime": {"inferenceApi": {"image": {"tag": "1"}}}}}, "the default repository is not"),
        (
            {"extraValues": {"runtime": {"inferenceApi": {"extraEnv": [{"name": "A", "valueFrom": {}}]}}}},
            "extraEnv A is not carried over: only plain values are",
        ),
        ({"unheard_of": 1}, "unheard_of is not carried over"),
    ],
)
def test_nothing_is_dropped_silently(entry, told):
    carried = runtimes_from_cdk({"modelsRuntime": [{"name": "a", "modelFilename": "m.safetensors", **entry}]})
    assert [line for line in carried["not_carried_over"] if line.startswith("modelsRuntime[0] (a): ") and told in line]


def test_disabled_persistence_and_an_empty_value_say_nothing():
    values = {"runtime": {"persistence": {"enabled": False}, "labels": {}, "annotations": ""}}
    entry = {"name": "a", "modelFilename": "m.safetensors", "extraValues": values}
    assert runtimes_from_cdk({"modelsRuntime": [entry]})["not_carried_over"] == []


@pytest.mark.parametrize("other", [{}, [], "text", {"modelsRuntime": "text"}])
def test_something_else_is_refused(other):
    with pytest.raises(AnsibleFilterError, match="has a list modelsRuntime"):
        runtimes_from_cdk(other)


def test_an_entry_that_is_no_mapping_is_told():
    carried = runtimes_from_cdk({"modelsRuntime": ["anime"]})
    assert "modelsRuntime[0]: is no mapping" in carried["not_carried_over"]
