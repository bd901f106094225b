{{/*
What a container knows of its surroundings. Takes (list $ group credentials): nodes and the deployer log in as different
users. Names come first that later values refer to.
*/}}
{{- define "murmur.env" -}}
{{- $root := index . 0 -}}
{{- $group := index . 1 -}}
{{- $login := index . 2 -}}
- name: POD_NAME
  valueFrom: { fieldRef: { fieldPath: metadata.name } }
- name: POD_NAMESPACE
  valueFrom: { fieldRef: { fieldPath: metadata.namespace } }
- name: K8S_NODE_NAME
  valueFrom: { fieldRef: { fieldPath: spec.nodeName } }
- name: MURMUR_NODE_ID
  value: $(POD_NAME)
- name: MURMUR_MESH
  value: {{ $root.Values.mesh | quote }}
- name: NATS_URL
  value: {{ include "murmur.natsUrl" $root | quote }}
{{- if $login.creds }}
- name: NATS_CREDS
  value: /etc/murmur/login/{{ $login.creds }}
{{- else if $login.nkey }}
- name: NATS_NKEY
  value: /etc/murmur/login/{{ $login.nkey }}
{{- end }}
{{- with $root.Values.tls }}
{{- if .ca.secret }}
- name: NATS_CA
  value: /etc/murmur/ca/{{ .ca.key }}
{{- end }}
{{- if .client.secret }}
- name: NATS_CERT
  value: /etc/murmur/client/{{ .client.cert }}
- name: NATS_KEY
  value: /etc/murmur/client/{{ .client.key }}
{{- end }}
{{- end }}
{{- include "murmur.otelEnv" $root }}
{{- $env := mergeOverwrite (deepCopy $root.Values.env) (deepCopy $group.env) }}
{{- if not $env.MURMUR_CODE_VERSION }}
- name: MURMUR_CODE_VERSION # what "murmur nodes" shows: a rolling update can be watched
  value: {{ trunc 19 $group.image.digest | default $group.image.tag | default $root.Chart.AppVersion | quote }}
{{- end }}
{{- range $name, $value := $env }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- range $name, $ref := mergeOverwrite (deepCopy $root.Values.secretEnv) (deepCopy $group.secretEnv) }}
- name: {{ $name }}
  valueFrom: { secretKeyRef: { name: {{ $ref.secret | quote }}, key: {{ $ref.key | quote }} } }
{{- end }}
{{- end -}}

{{- define "murmur.otelEnv" -}}
{{- with .Values.otel }}
{{- if .endpoint }}
- name: OTEL_EXPORTER_OTLP_ENDPOINT
  value: {{ .endpoint | quote }}
- name: OTEL_RESOURCE_ATTRIBUTES
  value: "k8s.pod.name=$(POD_NAME),k8s.namespace.name=$(POD_NAMESPACE),k8s.node.name=$(K8S_NODE_NAME)
    {{- range $key, $value := .resourceAttributes }},{{ $key }}={{ $value }}{{ end }}"
{{- if .headers.secret }}
- name: OTEL_EXPORTER_OTLP_HEADERS
  valueFrom: { secretKeyRef: { name: {{ .headers.secret | quote }}, key: {{ .headers.key | quote }} } }
{{- end }}
{{- with .sampler }}
- name: OTEL_TRACES_SAMPLER
  value: {{ . | quote }}
{{- end }}
{{- with .samplerArg }}
- name: OTEL_TRACES_SAMPLER_ARG
  value: {{ . | quote }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}
