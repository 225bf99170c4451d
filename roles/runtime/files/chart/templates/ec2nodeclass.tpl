{{- $volume := .Values.runtime.nodes.data_volume }}
apiVersion: karpenter.k8s.aws/v1
kind: EC2NodeClass
metadata:
  name: {{ include "runtime.clusterName" . }}
  labels:
    {{- include "runtime.labels" . | nindent 4 }}
spec:
  # The alias chooses Bottlerocket's NVIDIA variant for instance types with a GPU; it brings the device plugin along.
  amiSelectorTerms:
    - alias: bottlerocket@v{{ .Values.node.bottlerocket_version }}
  role: {{ .Values.node.role | quote }}
  subnetSelectorTerms:
    - tags:
        karpenter.sh/discovery: {{ .Values.system.name | quote }}
  securityGroupSelectorTerms:
    - tags:
        karpenter.sh/discovery: {{ .Values.system.name | quote }}
    # The group that EKS itself makes for the cluster: nodes of all kinds reach each other and the control plane by it.
    - tags:
        aws:eks:cluster-name: {{ .Values.node.cluster | quote }}
  blockDeviceMappings:
    # Bottlerocket: the system on the first volume, images and containers on the second.
    - deviceName: /dev/xvda
      ebs: {volumeSize: 4Gi, volumeType: gp3, encrypted: true, deleteOnTermination: true}
    - deviceName: /dev/xvdb
      ebs:
        volumeSize: {{ $volume.size }}
        volumeType: {{ $volume.type }}
        encrypted: true
        deleteOnTermination: {{ $volume.delete_on_termination }}
        {{- if ne $volume.type "gp2" }}
        iops: {{ $volume.iops }}
        {{- end }}
        {{- if eq $volume.type "gp3" }}
        throughput: {{ $volume.throughput }}
        {{- end }}
        {{- with $volume.snapshot_id }}
        snapshotID: {{ . }}
        {{- end }}
  metadataOptions:
    httpEndpoint: enabled
    httpTokens: required
    # One hop: pods can't take the node's role.
    httpPutResponseHopLimit: 1
  tags:
    {{- range $name, $value := .Values.system.tags }}
    {{ $name | quote }}: {{ $value | toString | quote }}
    {{- end }}
    Name: {{ include "runtime.clusterName" . | quote }}
