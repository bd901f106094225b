{{/* The most that the "restricted" Pod Security Standard leaves, and a root file system that nobody writes to. */}}
{{- define "murmur.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end -}}

{{/* Takes (list group credentials root). */}}
{{- define "murmur.volumes" -}}
{{- $group := index . 0 -}}
{{- $login := index . 1 -}}
{{- $root := index . 2 -}}
- name: tmp
  emptyDir: { sizeLimit: {{ $root.Values.tmpSize }} }
{{- if $login.secret }}
- name: login
  secret: { secretName: {{ $login.secret | quote }}, defaultMode: 0440 }
{{- end }}
{{- with $root.Values.tls }}
{{- if .ca.secret }}
- name: ca
  secret: { secretName: {{ .ca.secret | quote }}, defaultMode: 0444 }
{{- end }}
{{- if .client.secret }}
- name: client
  secret: { secretName: {{ .client.secret | quote }}, defaultMode: 0440 }
{{- end }}
{{- end }}
{{- with $group.volumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Takes the same. */}}
{{- define "murmur.volumeMounts" -}}
{{- $group := index . 0 -}}
{{- $login := index . 1 -}}
{{- $root := index . 2 -}}
- { name: tmp, mountPath: /tmp }
{{- if $login.secret }}
- { name: login, mountPath: /etc/murmur/login, readOnly: true }
{{- end }}
{{- with $root.Values.tls }}
{{- if .ca.secret }}
- { name: ca, mountPath: /etc/murmur/ca, readOnly: true }
{{- end }}
{{- if .client.secret }}
- { name: client, mountPath: /etc/murmur/client, readOnly: true }
{{- end }}
{{- end }}
{{- with $group.volumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Where pods may run. Takes (list $ name group). A spread without a selector is one over the group's own pods. */}}
{{- define "murmur.placement" -}}
{{- $root := index . 0 -}}
{{- $name := index . 1 -}}
{{- $group := index . 2 -}}
{{- with $group.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $group.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $group.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $group.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $group.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- range . }}
  {{- $ofGroup := dict "matchLabels" (include "murmur.selector" (list $root $name) | fromYaml) }}
  - {{ set (deepCopy .) "labelSelector" (default $ofGroup .labelSelector) | toYaml | nindent 4 | trim }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* One node of the mesh. Takes (list $ name group). */}}
{{- define "murmur.node" -}}
{{- $root := index . 0 -}}
{{- $group := index . 2 -}}
name: murmur
image: {{ include "murmur.image" (list $root $group.image) | quote }}
imagePullPolicy: {{ $group.image.pullPolicy }}
args:
  - up
  {{- toYaml $group.paths | nindent 2 }}
  {{- with $group.agents }}
  - --agents
  - {{ join "," . | quote }}
  {{- end }}
  {{- range $key, $value := $group.labels }}
  - --label
  - {{ printf "%s=%s" $key $value | quote }}
  {{- end }}
  - --grace
  - {{ $group.graceSeconds | toString | quote }}
  - --json # lines for a log collector: nobody looks at a terminal here
  {{- with $group.args }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
env:
  {{- include "murmur.env" (list $root $group $group.credentials) | nindent 2 }}
  {{- with $root.Values.http }}
  - name: MURMUR_LISTEN
    value: {{ printf "%s:4300" (ternary "[::]" .host (eq .host "::")) | quote }}
  {{- if .token.secret }}
  - name: MURMUR_TOKEN
    valueFrom: { secretKeyRef: { name: {{ .token.secret | quote }}, key: {{ .token.key | quote }} } }
  {{- end }}
  {{- end }}
{{- with $group.envFrom }}
envFrom:
  {{- toYaml . | nindent 2 }}
{{- end }}
ports:
  - { name: http, containerPort: 4300, protocol: TCP }
# The process and its event loop. Never NATS: nodes that wait for it must not be killed for that.
startupProbe:
  httpGet: { path: /healthz, port: http }
  {{- toYaml $group.probes.startup | nindent 2 }}
livenessProbe:
  httpGet: { path: /healthz, port: http }
  {{- toYaml $group.probes.liveness | nindent 2 }}
# NATS, agents in quarantine, stopping: whether it is a good address for events, and whether a rollout may go on.
readinessProbe:
  httpGet: { path: /readyz, port: http }
  {{- toYaml $group.probes.readiness | nindent 2 }}
{{- if $group.preStopSeconds }}
lifecycle:
  preStop: # works on until the Service has forgotten it. Node waits: every image of ours has it, and not each a shell
    exec: { command: [node, -e, "setTimeout(() => {}, {{ mul $group.preStopSeconds 1000 }})"] }
{{- end }}
{{- with $group.resources }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- include "murmur.containerSecurity" . | nindent 2 }}
volumeMounts:
  {{- include "murmur.volumeMounts" (list $group $group.credentials $root) | nindent 2 }}
{{- end -}}
