{{- $scaling := .Values.runtime.scaling }}
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata:
  name: {{ .Release.Name }}
  namespace: {{ .Release.Namespace }}
  labels:
    {{- include "runtime.labels" . | nindent 4 }}
spec:
  scaleTargetRef:
    name: {{ .Release.Name }}
  minReplicaCount: {{ $scaling.min_replicas }}
  maxReplicaCount: {{ $scaling.max_replicas }}
  pollingInterval: {{ $scaling.polling_interval }}
  cooldownPeriod: {{ $scaling.cooldown_period }}
  advanced:
    horizontalPodAutoscalerConfig:
      behavior:
        # Out: at once, as far as it takes. In: as late as to zero, one window for both.
        scaleUp:
          stabilizationWindowSeconds: 0
          policies:
            - {type: Pods, value: {{ $scaling.max_replicas }}, periodSeconds: 15}
        scaleDown:
          stabilizationWindowSeconds: {{ min 3600 $scaling.cooldown_period }}
  triggers:
    - type: aws-sqs-queue
      metadata:
        queueURL: {{ .Values.queue.url | quote }}
        queueLength: {{ $scaling.queue_length | quote }}
        # A task that is being drawn still needs its pod.
        scaleOnInFlight: "true"
        awsRegion: {{ .Values.system.region | quote }}
        # KEDA's own role reads the queue's length; the pods' roles are the pods'.
        identityOwner: operator
