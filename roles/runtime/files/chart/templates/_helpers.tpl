{{/* Labels that select the runtime's pods. */}}
{{- define "runtime.selector" -}}
app.kubernetes.io/name: stable-diffusion
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* Labels of everything. */}}
{{- define "runtime.labels" -}}
{{ include "runtime.selector" . }}
app.kubernetes.io/part-of: {{ .Values.system.name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- end }}

{{/* Name of what belongs to no namespace: several systems can share a cluster. */}}
{{- define "runtime.clusterName" -}}
{{ .Values.system.name }}-{{ .Release.Name }}
{{- end }}

{{- define "runtime.webuiPort" -}}
{{ eq .Values.runtime.webui.kind "comfyui" | ternary 8188 7860 }}
{{- end }}

{{/* What restricted Pod Security asks of each container. */}}
{{- define "runtime.restricted" -}}
allowPrivilegeEscalation: false
capabilities:
  drop: [ALL]
{{- end }}

{{- define "runtime.env" -}}
{{- range $name, $value := . }}
- name: {{ $name }}
  value: {{ $value | toString | quote }}
{{- end }}
{{- end }}
