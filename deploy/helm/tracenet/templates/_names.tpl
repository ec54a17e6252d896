{{/* The release's name, with the chart's unless it is in there. */}}
{{- define "tracenet.name" -}}
{{- $name := ternary .Release.Name (printf "%s-tracenet" .Release.Name) (contains "tracenet" .Release.Name) -}}
{{- $name | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "tracenet.serviceAccount" -}}
{{- .Values.serviceAccount.name | default (ternary (include "tracenet.name" .) "default" .Values.serviceAccount.create) -}}
{{- end -}}

{{/* What a DaemonSet finds its pods by; may never change. */}}
{{- define "tracenet.selector" -}}
app.kubernetes.io/name: tracenet
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "tracenet.labels" -}}
{{ include "tracenet.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/component: agent
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "tracenet.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{/* Address and port, an IPv6 address in brackets. */}}
{{- define "tracenet.listen" -}}
{{- $address := .Values.endpoint.address -}}
{{- if contains ":" $address -}}{{- $address = printf "[%s]" $address -}}{{- end -}}
{{ $address }}:{{ .Values.endpoint.port }}
{{- end -}}

{{/* Where the kubelet, which shares the node's network, finds the endpoint. */}}
{{- define "tracenet.probeHost" -}}
{{- get (dict "0.0.0.0" "127.0.0.1" "::" "::1") .Values.endpoint.address | default .Values.endpoint.address -}}
{{- end -}}

{{/* Capabilities of the profile; values.yaml says what each is for. */}}
{{- define "tracenet.capabilities" -}}
- BPF
- PERFMON
- NET_RAW
- SYS_PTRACE
- DAC_READ_SEARCH
{{- if ne .Values.profile "minimal" }}
- SYS_ADMIN
{{- end }}
{{- if eq .Values.profile "conntrack" }}
- NET_ADMIN
- SYSLOG
{{- end }}
{{- end -}}

{{/* tracenet.yaml. */}}
{{- define "tracenet.config" -}}
{{- $kubernetes := dict "enabled" .Values.kubernetes.enabled -}}
{{- $agent := merge (dict "listen" (include "tracenet.listen" .) "kubernetes" $kubernetes) .Values.config.agent -}}
{{- $export := deepCopy .Values.config.export -}}
{{- if ne .Values.spool.volume "none" -}}
{{- $spool := dict "directory" "/var/spool/tracenet/spans" "bytes" .Values.spool.bytes -}}
{{- $export = merge (dict "otlp" (dict "spool" $spool)) $export -}}
{{- end -}}
{{- dict "agent" $agent "export" $export | toYaml -}}
{{- end -}}

{{/* What an emptyDir may hold: the kubelet evicts a pod whose volume has more. */}}
{{- define "tracenet.spoolLimit" -}}
{{- $mebibytes := regexFind "^[0-9]+" .Values.spool.bytes | int -}}
{{- if hasSuffix "GiB" .Values.spool.bytes -}}{{- $mebibytes = mul $mebibytes 1024 -}}{{- end -}}
{{ add $mebibytes (div $mebibytes 4) 128 }}Mi
{{- end -}}
