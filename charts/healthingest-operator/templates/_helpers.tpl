{{/* The name of every object of this release. */}}
{{- define "operator.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 63 | trimSuffix "-" }}{{ else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 63 | trimSuffix "-" }}{{ end }}
{{- end }}

{{/* Labels that select the operator's pod. */}}
{{- define "operator.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "operator.labels" -}}
{{ include "operator.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: healthingest
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{/* The times of the leader election; the operator refuses them in another order, and so does Helm. */}}
{{- define "operator.leaderElection" -}}
{{- with .Values.leaderElection }}
{{- if not (and (gt (float64 .leaseDurationSeconds) (float64 .renewDeadlineSeconds)) (gt (float64 .renewDeadlineSeconds) (mulf 1.2 .retryPeriodSeconds))) }}
{{- fail "leaderElection: leaseDurationSeconds must be greater than renewDeadlineSeconds, and that greater than 1.2 times retryPeriodSeconds" }}
{{- end }}
- {name: HEALTHINGEST_OPERATOR_LEASE_DURATION_SECONDS, value: {{ .leaseDurationSeconds | quote }}}
- {name: HEALTHINGEST_OPERATOR_LEASE_RENEW_DEADLINE_SECONDS, value: {{ .renewDeadlineSeconds | quote }}}
- {name: HEALTHINGEST_OPERATOR_LEASE_RETRY_PERIOD_SECONDS, value: {{ .retryPeriodSeconds | quote }}}
{{- end }}
{{- end }}

{{/*
The name of a cluster-scoped object of this release. Two releases may have the same name in two namespaces; a namespace
has no colon in its name, so NAMESPACE:NAME is unique.
*/}}
{{- define "operator.clusterName" -}}
{{ .Release.Namespace }}:{{ include "operator.name" . }}
{{- end }}

{{/*
"true" if the chart is rendered with a cluster at hand. `helm template` has none. With clusterRoles=false the definition is
there before, and its user may not read kube-system, so this namespace is only asked for otherwise.
*/}}
{{- define "operator.hasCluster" -}}
{{- if .Capabilities.APIVersions.Has "healthingest.dev/v1alpha1" }}true
{{- else if .Values.clusterRoles }}{{ if lookup "v1" "Namespace" "" "kube-system" }}true{{ end }}
{{- end }}
{{- end }}

{{/*
"true" for a namespace in which nothing can be made now: (list ROOT NAMESPACE). It does not exist, or it is being deleted.
Without a cluster every namespace counts as present.
*/}}
{{- define "operator.isAbsent" -}}
{{- $root := index . 0 }}{{ $namespace := index . 1 }}
{{- if include "operator.hasCluster" $root }}
{{- $found := lookup "v1" "Namespace" "" $namespace }}
{{- if or (not $found) (eq "Terminating" (dig "status" "phase" "" $found)) }}true{{ end }}
{{- end }}
{{- end }}

{{/*
Labels of a binding by which an operator serves one namespace ("one") or all ("all"); `operator.onlyRelease` finds others by them.
*/}}
{{- define "operator.serves" -}}
healthingest.dev/serves: {{ . }}
{{- end }}

{{/* Fail if one of these bindings is of another release: (list ROOT BINDINGS WHERE). */}}
{{- define "operator.onlyRelease" -}}
{{- $root := index . 0 }}{{ $where := index . 2 }}
{{- range (index . 1).items }}
{{- $instance := dig "labels" "app.kubernetes.io/instance" "" .metadata }}
{{- $serves := dig "labels" "healthingest.dev/serves" "" .metadata }}
{{- $home := (first (.subjects | default (list dict))).namespace }}
{{- if and $serves (or (ne $instance $root.Release.Name) (ne $home $root.Release.Namespace)) }}
{{- $served := eq $serves "all" | ternary "all namespaces" $where }}
{{- fail (printf "watchNamespaces: release %s in namespace %s already serves %s; give each release its own namespaces, or delete %s %s if that release is gone" $instance $home $served .kind .metadata.name) }}
{{- end }}
{{- end }}
{{- end }}

{{/* What every container of ours may do: nothing. PodSecurity "restricted". */}}
{{- define "operator.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- define "operator.podSecurity" -}}
runAsNonRoot: true
seccompProfile: {type: RuntimeDefault}
{{- range $name, $value := .Values.podSecurityContext }}
{{- if not (kindIs "invalid" $value) }}
{{ $name }}: {{ toJson $value }}
{{- end }}
{{- end }}
{{- end }}

{{/* The name of the operator's ServiceAccount. */}}
{{- define "operator.account" -}}
{{- if .Values.serviceAccount.create }}{{ .Values.serviceAccount.name | default (include "operator.name" .) }}
{{- else }}{{ required "serviceAccount.name: name an existing ServiceAccount, or let serviceAccount.create be true" .Values.serviceAccount.name }}{{ end }}
{{- end }}

{{/* The reference of an image: (list ROOT IMAGE). */}}
{{- define "operator.image" -}}
{{- $root := index . 0 }}{{ $image := index . 1 }}
{{- with $root.Values.imageRegistry }}{{ . }}/{{ end }}{{ $image.repository }}
{{- if $image.digest }}@{{ $image.digest }}{{ else }}:{{ $image.tag | default $root.Chart.AppVersion }}{{ end }}
{{- end }}
