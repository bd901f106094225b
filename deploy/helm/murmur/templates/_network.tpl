{{/* The ports of comma-separated urls, as rules' ports. Takes (dict "urls" ... "otherwise" port). */}}
{{- define "murmur.ports" -}}
{{- $ports := list -}}
{{- range $url := splitList "," .urls -}}
{{- $authority := regexReplaceAll "^[a-z]+://([^/]*).*$" (trim $url) "${1}" -}}
{{- $port := regexFind ":[0-9]+$" $authority | trimPrefix ":" -}}
{{- $ports = append $ports (int (default $.otherwise $port)) -}}
{{- end -}}
{{- range $i, $port := uniq $ports }}
{{- if $i }}{{ "\n" }}{{ end -}}
- { protocol: TCP, port: {{ $port }} }
{{- end }}
{{- end -}}

{{/* What every pod may reach: names, NATS, and the collector. A NetworkPolicy knows addresses and pods, no host names. */}}
{{- define "murmur.egress" -}}
{{- with .Values.networkPolicy -}}
- ports: # DNS
    - { protocol: UDP, port: 53 }
    - { protocol: TCP, port: 53 }
  {{- with .dnsTo }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
- ports: # NATS
    {{- include "murmur.ports" (dict "urls" (include "murmur.natsUrl" $) "otherwise" 4222) | nindent 4 }}
  {{- if .natsTo }}
  to:
    {{- toYaml .natsTo | nindent 4 }}
  {{- else if $.Values.nats.enabled }}
  to:
    - podSelector:
        matchLabels:
          app.kubernetes.io/name: {{ default "nats" $.Values.nats.nameOverride }}
          app.kubernetes.io/instance: {{ $.Release.Name }}
  {{- end }}
{{- if $.Values.otel.endpoint }}
- ports: # OTLP
    {{- $tls := hasPrefix "https:" $.Values.otel.endpoint }}
    {{- include "murmur.ports" (dict "urls" $.Values.otel.endpoint "otherwise" (ternary 443 80 $tls)) | nindent 4 }}
  {{- with .otlpTo }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
{{- end }}
{{- end -}}
