{{- define "kvdrive.name" -}}
{{- printf "%s-operator" .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "kvdrive.selector" -}}
app.kubernetes.io/name: kvdrive-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "kvdrive.labels" -}}
{{ include "kvdrive.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: kvdrive
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- /* What the operator does in a namespace. A test compares it with what the code asks for. */ -}}
{{- define "kvdrive.rules" -}}
- apiGroups: [kvdrive.dev]
  resources: [inferencedeployments]
  verbs: [list, watch]
- apiGroups: [kvdrive.dev]
  resources: [inferencedeployments/status]
  verbs: [patch]
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [serviceaccounts, services]
  verbs: [get, list, watch, create, patch]
- apiGroups: [apps]
  resources: [deployments, statefulsets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [get, list, watch, create, patch]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch, delete]
{{- if .Values.routes.enabled }}
- apiGroups: [gateway.networking.k8s.io]
  resources: [httproutes]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [inference.networking.k8s.io]
  resources: [inferencepools]
  verbs: [get, list, watch, create, patch, delete]
{{- end }}
- apiGroups: [""]
  resources: [pods, persistentvolumeclaims]
  verbs: [list, watch]
- apiGroups: [""]
  resources: [events]
  verbs: [list, create]
# Whether another operator that serves a deployment still works.
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  resourceNames: [kvdrive-operator]
  verbs: [get]
{{- end -}}

{{- define "kvdrive.config" -}}
kvdrive:
  operator:
    namespace: {{ .Release.Namespace }}
    release: {{ .Release.Name }}
    take-over: {{ .Values.watch.takeOver }}
    watch-namespaces: {{ .Values.watch.namespaces | toJson }}
    classes: {{ .Values.watch.classes }}
    nodes: {{ .Values.watch.nodes }}
    routes: {{ .Values.routes.enabled }}
    class-required: {{ .Values.classes.required }}
    monitoring-namespaces: {{ .Values.monitoring.namespaces | toJson }}
    runtime:
      image: {{ .Values.runtime.image.reference | quote }}
      {{- with include "kvdrive.cudaImage" . }}
      cuda-image: {{ . | quote }}
      {{- end }}
      image-pull-policy: {{ .Values.runtime.image.pullPolicy | quote }}
      image-pull-secrets: {{ .Values.runtime.image.pullSecrets | toJson }}
      {{- with .Values.runtime.downloads }}
      {{- $said := dict }}
      {{- range $name, $value := dict "endpoint" .endpoint "https-proxy" .httpsProxy "http-proxy" .httpProxy "no-proxy" .noProxy "proxy-credentials-secret" .proxyCredentialsSecret "ca-bundle" .caBundle }}
      {{- if $value }}{{ $_ := set $said $name $value }}{{ end }}
      {{- end }}
      {{- with $said }}
      downloads:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- end }}
      {{- with .Values.runtime.traces }}
      {{- if and (or .headersSecret .caBundle) (not .endpoint) }}
      {{- fail "runtime.traces.headersSecret and caBundle are those of an endpoint; name it beside them, or leave them out" }}
      {{- end }}
      {{- if and .headersSecret (hasPrefix "http:" .endpoint) }}
      {{- fail (printf "runtime.traces.headersSecret would be sent in plain to %s; name an https address, or leave the headers out" .endpoint) }}
      {{- end }}
      {{- if regexMatch "^https?://[^/]+:4317(/.*)?$" (default "" .endpoint) }}
      {{- fail (printf "runtime.traces.endpoint is %s; 4317 is the port for gRPC, and traces are sent by HTTP alone: name the collector's port for HTTP, 4318 mostly" .endpoint) }}
      {{- end }}
      {{- $said := dict }}
      {{- range $name, $value := dict "endpoint" .endpoint "headers-secret" .headersSecret "ca-bundle" .caBundle "sampling" .sampling }}
      {{- if $value }}{{ $_ := set $said $name $value }}{{ end }}
      {{- end }}
      {{- with $said }}
      traces:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- end }}
      {{- if .Values.runtime.userId }}
      user-id: {{ int64 .Values.runtime.userId }}
      {{- end }}
logging:
  level:
    root: {{ .Values.operator.logLevel }}
{{- end -}}

{{/*
Image of runtime pods with a GPU: unless it is said, the one beside that of the others, by its name. A digest
has none beside it.
*/}}
{{- define "kvdrive.cudaImage" -}}
{{- if .Values.runtime.cudaImage.reference }}
{{- .Values.runtime.cudaImage.reference }}
{{- else if not (contains "@" .Values.runtime.image.reference) }}
{{- regexReplaceAll "(:[^/:]+)?$" .Values.runtime.image.reference "-cuda${1}" }}
{{- end }}
{{- end }}
