apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ .Release.Name }}
  namespace: {{ .Release.Namespace }}
  labels:
    {{- include "runtime.labels" . | nindent 4 }}
# The agent talks to AWS (EKS Pod Identity projects a token of its own), never to Kubernetes.
automountServiceAccountToken: false
