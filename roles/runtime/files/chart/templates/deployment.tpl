{{- $runtime := .Values.runtime }}
{{- $claim := ($runtime.persistence | default dict).existing_claim }}
{{- $live := lookup "apps/v1" "Deployment" .Release.Namespace .Release.Name }}
{{- $port := include "runtime.webuiPort" . }}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .Release.Name }}
  namespace: {{ .Release.Namespace }}
  labels:
    {{- include "runtime.labels" . | nindent 4 }}
spec:
  # KEDA's number: kept over an upgrade, and no GPU node for the first moments of a new runtime.
  replicas: {{ if $live }}{{ $live.spec.replicas }}{{ else }}{{ $runtime.scaling.min_replicas }}{{ end }}
  revisionHistoryLimit: 3
  selector:
    matchLabels:
      {{- include "runtime.selector" . | nindent 6 }}
  strategy:
    # A surplus pod would need a GPU node of its own.
    rollingUpdate: {maxSurge: 0, maxUnavailable: 50%}
  template:
    metadata:
      labels:
        {{- include "runtime.selector" . | nindent 8 }}
      annotations:
        kubectl.kubernetes.io/default-container: agent
        # The agent's role is not for the WebUI, which runs whatever its extensions and model files bring along.
        eks.amazonaws.com/skip-containers: webui
    spec:
      serviceAccountName: {{ .Release.Name }}
      automountServiceAccountToken: false
      enableServiceLinks: false
      terminationGracePeriodSeconds: {{ .Values.grace_seconds }}
      nodeSelector:
        karpenter.sh/nodepool: {{ include "runtime.clusterName" . }}
      tolerations:
        - {key: nvidia.com/gpu, operator: Exists, effect: NoSchedule}
      securityContext:
        runAsNonRoot: true
        runAsUser: 1000
        runAsGroup: 1000
        fsGroup: 1000
        fsGroupChangePolicy: OnRootMismatch
        seccompProfile: {type: RuntimeDefault}
      initContainers:
        # A native sidecar: the agent starts when the WebUI serves, and is stopped before it.
        - name: webui
          image: {{ $runtime.webui.image | quote }}
          restartPolicy: Always
          args:
            {{- if eq $runtime.webui.kind "comfyui" }}
            - --listen=$(POD_IP)
            - --port={{ $port }}
            {{- else }}
            - --api
            - --nowebui
            - --skip-version-check
            - --server-name=$(POD_IP)
            - --port={{ $port }}
            {{- if $claim }}
            - --models-dir=/models
            {{- end }}
            {{- end }}
            {{- range $runtime.webui.args }}
            - {{ . | quote }}
            {{- end }}
          env:
            - name: POD_IP
              valueFrom: {fieldRef: {fieldPath: status.podIP}}
            {{- include "runtime.env" $runtime.webui.env | nindent 12 }}
          ports:
            - {name: webui, containerPort: {{ $port }}}
          startupProbe:
            httpGet:
              path: {{ eq $runtime.webui.kind "comfyui" | ternary "/system_stats" "/sdapi/v1/sd-models" }}
              port: webui
            periodSeconds: 1
            timeoutSeconds: 5
            failureThreshold: 600
          resources:
            {{- toYaml $runtime.webui.resources | nindent 12 }}
          securityContext:
            {{- include "runtime.restricted" . | nindent 12 }}
          volumeMounts:
            - {name: shared-memory, mountPath: /dev/shm}
            {{- if $claim }}
            - {name: models, mountPath: /models, readOnly: true}
            {{- end }}
      containers:
        - name: agent
          image: {{ $runtime.agent.image | quote }}
          env:
            - name: POD_IP
              valueFrom: {fieldRef: {fieldPath: status.podIP}}
            - name: POD_NAME
              valueFrom: {fieldRef: {fieldPath: metadata.name}}
            - name: AWS_REGION
              value: {{ .Values.system.region | quote }}
            - name: SD_RUNTIME
              value: {{ .Release.Name | quote }}
            - name: SD_QUEUE_URL
              value: {{ .Values.queue.url | quote }}
            - name: SD_DLQ_URL
              value: {{ .Values.queue.dlq_url | quote }}
            - name: SD_OUTPUT_TOPIC_ARN
              value: {{ .Values.output_topic_arn | quote }}
            {{- with .Values.error_topic_arn }}
            - name: SD_ERROR_TOPIC_ARN
              value: {{ . | quote }}
            {{- end }}
            - name: SD_BUCKET
              value: {{ .Values.bucket | quote }}
            - name: SD_TASK_TABLE
              value: {{ .Values.task_table | quote }}
            - name: SD_TASK_RETENTION_DAYS
              value: {{ .Values.task_retention_days | quote }}
            - name: SD_TENANT_NAMES
              value: {{ join "," .Values.tenant_names | quote }}
            - name: SD_WEBUI_URL
              value: http://$(POD_IP):{{ $port }}
            - name: SD_WEBUI_KIND
              value: {{ $runtime.webui.kind | quote }}
            - name: SD_MODELS
              value: {{ join "," $runtime.models | quote }}
            - name: SD_DYNAMIC
              value: {{ $runtime.dynamic | quote }}
            {{- with $runtime.dialect }}
            - name: SD_DIALECT
              value: {{ . | quote }}
            {{- end }}
            - name: SD_TASK_TIMEOUT_S
              value: {{ $runtime.timeout | quote }}
            - name: SD_MAX_ATTEMPTS
              value: {{ $runtime.max_attempts | quote }}
            - name: SD_GRACE_S
              value: {{ sub .Values.grace_seconds .Values.grace_reserve_seconds | quote }}
            {{- include "runtime.env" $runtime.agent.env | nindent 12 }}
          resources:
            {{- toYaml $runtime.agent.resources | nindent 12 }}
          securityContext:
            {{- include "runtime.restricted" . | nindent 12 }}
            readOnlyRootFilesystem: true
          volumeMounts:
            - {name: scratch, mountPath: /tmp}
      volumes:
        - name: scratch
          emptyDir: {}
        - name: shared-memory
          emptyDir: {medium: Memory, sizeLimit: 2Gi}
        {{- with $claim }}
        - name: models
          persistentVolumeClaim: {claimName: {{ . | quote }}, readOnly: true}
        {{- end }}
