{{- $nodes := .Values.runtime.nodes }}
apiVersion: karpenter.sh/v1
kind: NodePool
metadata:
  name: {{ include "runtime.clusterName" . }}
  labels:
    {{- include "runtime.labels" . | nindent 4 }}
spec:
  template:
    spec:
      nodeClassRef:
        group: karpenter.k8s.aws
        kind: EC2NodeClass
        name: {{ include "runtime.clusterName" . }}
      # Keeps pods that need no GPU away from what is paid for one.
      taints:
        - {key: nvidia.com/gpu, value: "true", effect: NoSchedule}
      requirements:
        # Karpenter tries Spot first where both are allowed, and falls back when there is no capacity.
        - key: karpenter.sh/capacity-type
          operator: In
          values: {{ toJson $nodes.capacity_types }}
        - key: node.kubernetes.io/instance-type
          operator: In
          values: {{ toJson $nodes.instance_types }}
      expireAfter: {{ $nodes.expire_after }}
  disruption:
    consolidationPolicy: WhenEmpty
    consolidateAfter: {{ $nodes.consolidate_after }}
    budgets:
      - nodes: 100%
  {{- with $nodes.limits }}
  limits:
    {{- toYaml . | nindent 4 }}
  {{- end }}
