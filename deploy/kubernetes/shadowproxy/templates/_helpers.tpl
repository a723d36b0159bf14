{{- define "shadowproxy.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "shadowproxy.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 57 | trimSuffix "-" -}}
{{- else if contains (include "shadowproxy.name" .) .Release.Name -}}
{{- .Release.Name | trunc 57 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "shadowproxy.name" .) | trunc 57 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "shadowproxy.selector" -}}
app.kubernetes.io/name: {{ include "shadowproxy.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "shadowproxy.labels" -}}
{{ include "shadowproxy.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "shadowproxy.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end -}}
{{- end -}}

{{/* Whether the configuration has a rollout, in a service or for the only one. */}}
{{- define "shadowproxy.rollouts" -}}
{{- $found := hasKey .Values.config "rollout" -}}
{{- range $service := (get .Values.config "services" | default dict) -}}
{{- $found = or $found (hasKey $service "rollout") -}}
{{- end -}}
{{- if $found -}}true{{- end -}}
{{- end -}}

{{/* Whether what is kept is on a claim: always for the gateway, and for pods that decide about a rollout. */}}
{{- define "shadowproxy.claims" -}}
{{- if and .Values.persistence.enabled (or (eq .Values.mode "gateway") (include "shadowproxy.rollouts" .)) -}}true{{- end -}}
{{- end -}}

{{- define "shadowproxy.dataVolume" -}}
{{- if include "shadowproxy.claims" . -}}
persistentVolumeClaim: {claimName: {{ default (include "shadowproxy.fullname" .) .Values.persistence.existingClaim | quote }}}
{{- else -}}
emptyDir: {}
{{- end -}}
{{- end -}}

{{/* Two pods must never have one state, nor decide about one rollout: the old one ends before the new one starts. Without
either they replace each other with no gap. */}}
{{- define "shadowproxy.strategy" -}}
{{- if or (include "shadowproxy.claims" .) (include "shadowproxy.rollouts" .) -}}
type: Recreate
{{- else -}}
type: RollingUpdate
rollingUpdate: {maxUnavailable: 0, maxSurge: 1}
{{- end -}}
{{- end -}}

{{/* Values that contradict each other: one sentence that says what would be right. */}}
{{- define "shadowproxy.validate" -}}
{{- range $key := list "listen" "data_dir" "probe" "metrics" "drain" "admin" -}}
{{- if hasKey $.Values.config $key -}}
{{- fail (printf "config.%s is set by the chart: leave it out (docs/kubernetes.md says which value stands for it)" $key) -}}
{{- end -}}
{{- end -}}
{{- if and (gt (int .Values.replicas) 1) (include "shadowproxy.rollouts" .) -}}
{{- fail "replicas: a rollout's state is on one pod's disk and pods would decide apart from each other; 1, or a config without a rollout" -}}
{{- end -}}
{{- if and (gt (int .Values.replicas) 1) .Values.persistence.enabled -}}
{{- fail "replicas: pods cannot share one state; 1, or persistence.enabled: false" -}}
{{- end -}}
{{- if and (eq .Values.mode "sidecar") (not .Values.sidecar.app.image) -}}
{{- fail "sidecar.app.image: mode sidecar needs the app's image; mode library is for pods of your own chart" -}}
{{- end -}}
{{- if and (eq .Values.mode "sidecar") (gt (int .Values.sidecar.app.replicas) 1) (include "shadowproxy.rollouts" .) -}}
{{- fail "sidecar.app.replicas: each pod would decide about the rollout by itself; 1, or mode gateway, or a config without a rollout" -}}
{{- end -}}
{{- if and (ne .Values.mode "sidecar") (not (or (hasKey .Values.config "upstreams") (hasKey .Values.config "services"))) -}}
{{- fail "config: it needs upstreams: {primary: {urls: [...]}} or services: see docs/kubernetes.md" -}}
{{- end -}}
{{- end -}}

{{- define "shadowproxy.drainDelay" -}}
{{- if eq .Values.mode "gateway" -}}{{ int .Values.drain.delaySeconds }}{{- else -}}0{{- end -}}
{{- end -}}

{{/* Seconds that shadowproxy needs from its SIGTERM to its end. */}}
{{- define "shadowproxy.ending" -}}
{{ add (include "shadowproxy.drainDelay" .) (int .Values.drain.timeoutSeconds) (int .Values.terminationMarginSeconds) }}
{{- end -}}

{{/* The configuration: what the values say, and what the chart knows. */}}
{{- define "shadowproxy.config" -}}
{{- include "shadowproxy.validate" . -}}
{{- $config := deepCopy .Values.config -}}
{{- $own := dict
  "listen" "0.0.0.0:8080"
  "data_dir" "/data"
  "probe" (dict "listen" "0.0.0.0:9901")
  "metrics" (dict "listen" "0.0.0.0:9902")
  "drain" (dict "delay" (printf "%ss" (include "shadowproxy.drainDelay" .)) "timeout" (printf "%ds" (int .Values.drain.timeoutSeconds))) -}}
{{- if .Values.admin.tokens -}}
{{- $tokens := list -}}
{{- range $number, $token := .Values.admin.tokens -}}
{{- $tokens = append $tokens (dict "name" $token.name "role" $token.role "token" (printf "${ADMIN_TOKEN_%d}" $number)) -}}
{{- end -}}
{{- $name := printf "%s-admin" (include "shadowproxy.fullname" .) -}}
{{- $hosts := list $name (printf "%s.%s" $name .Release.Namespace) (printf "%s.%s.svc" $name .Release.Namespace) -}}
{{- $_ := set $own "admin" (dict "listen" "0.0.0.0:9900" "tokens" $tokens "hosts" $hosts) -}}
{{- end -}}
{{- if and (eq .Values.mode "sidecar") (not (hasKey $config "services")) -}}
{{- $primary := dict "primary" (dict "urls" (list (printf "http://127.0.0.1:%d" (int .Values.sidecar.app.port)))) -}}
{{- $config = mergeOverwrite (dict "upstreams" $primary) $config -}}
{{- end -}}
{{- toYaml (mergeOverwrite $config $own) -}}
{{- end -}}

{{/* What is the same for the gateway's container and the sidecar's. */}}
{{- define "shadowproxy.container" -}}
name: shadowproxy
image: {{ include "shadowproxy.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
args: [run, /etc/shadowproxy/config.yaml]
ports:
  - {name: http, containerPort: 8080, protocol: TCP}
  - {name: probe, containerPort: 9901, protocol: TCP}
  - {name: metrics, containerPort: 9902, protocol: TCP}
  {{- if .Values.admin.tokens }}
  - {name: admin, containerPort: 9900, protocol: TCP}
  {{- end }}
{{- if or .Values.env .Values.admin.tokens }}
env:
  {{- with .Values.env }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
  {{- range $number, $token := .Values.admin.tokens }}
  - name: ADMIN_TOKEN_{{ $number }}
    valueFrom:
      secretKeyRef: {name: {{ $token.secret.name | quote }}, key: {{ $token.secret.key | quote }}}
  {{- end }}
{{- end }}
{{- with .Values.envFrom }}
envFrom:
  {{- toYaml . | nindent 2 }}
{{- end }}
# The supervisor answers these out of memory. Neither asks an upstream: a dead backend restarts no proxy, and a sidecar is
# ready before its app has started.
startupProbe:
  httpGet: {path: /readyz, port: probe}
  periodSeconds: 1
  failureThreshold: 60
readinessProbe:
  httpGet: {path: /readyz, port: probe}
  periodSeconds: 3
  failureThreshold: 2
  timeoutSeconds: 1
livenessProbe:
  httpGet: {path: /healthz, port: probe}
  periodSeconds: 10
  failureThreshold: 3
  timeoutSeconds: 2
resources:
  {{- toYaml .Values.resources | nindent 2 }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  readOnlyRootFilesystem: true
  allowPrivilegeEscalation: false
  capabilities: {drop: [ALL]}
  seccompProfile: {type: RuntimeDefault}
volumeMounts:
  - {name: shadowproxy-config, mountPath: /etc/shadowproxy, readOnly: true}
  - {name: shadowproxy-data, mountPath: /data}
  - {name: shadowproxy-tmp, mountPath: /tmp}
{{- end -}}

{{/* For the pods of another chart, under initContainers: it starts before the app and ends after it. */}}
{{- define "shadowproxy.sidecar" -}}
- restartPolicy: Always
  {{- include "shadowproxy.container" . | nindent 2 }}
{{- end -}}

{{/* Under volumes, of the pods of another chart as well. */}}
{{- define "shadowproxy.volumes" -}}
- name: shadowproxy-config
  configMap: {name: {{ include "shadowproxy.fullname" . }}}
- name: shadowproxy-data
  {{- include "shadowproxy.dataVolume" . | nindent 2 }}
- name: shadowproxy-tmp
  emptyDir: {medium: Memory, sizeLimit: 16Mi}
{{- end -}}

{{/* The pod's, of either shape. */}}
{{- define "shadowproxy.scheduling" -}}
automountServiceAccountToken: false
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "shadowproxy.podMetadata" -}}
labels:
  {{- include "shadowproxy.labels" . | nindent 2 }}
  {{- with .Values.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- if or .Values.podAnnotations .Values.restartOnConfigChange }}
annotations:
  {{- if .Values.restartOnConfigChange }}
  checksum/config: {{ include "shadowproxy.config" . | sha256sum }}
  {{- end }}
  {{- with .Values.podAnnotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
{{- end -}}
