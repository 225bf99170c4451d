# The WebUI has no authentication: nothing but the kubelet's probes, which no policy stops, may reach the pod.
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {{ .Release.Name }}
  namespace: {{ .Release.Namespace }}
  labels:
    {{- include "runtime.labels" . | nindent 4 }}
spec:
  podSelector:
    matchLabels:
      {{- include "runtime.selector" . | nindent 6 }}
  policyTypes: [Ingress]
