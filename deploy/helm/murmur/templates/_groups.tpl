{{/*
The groups with all that they take from the defaults, as JSON. Credentials and the place of an image are taken whole or not
at all: a key of another Secret, or the digest of another image, would be wrong.
*/}}
{{- define "murmur.groups" -}}
{{- $groups := dict -}}
{{- $defaults := .Values.groupDefaults -}}
{{- range $name, $given := .Values.groups -}}
{{- $own := default dict $given -}}
{{- $group := mergeOverwrite (deepCopy $defaults) (deepCopy $own) -}}
{{- $login := default dict $own.credentials -}}
{{- if $login.secret -}}
{{- $_ := set $group "credentials" $login -}}
{{- end -}}
{{- $image := deepCopy $.Values.image -}}
{{- range $layer := list $defaults.image (default dict $own.image) -}}
{{- if or $layer.repository $layer.tag -}}
{{- $_ := set $image "digest" "" -}}
{{- end -}}
{{- $image = mergeOverwrite $image (deepCopy $layer) -}}
{{- end -}}
{{- $_ := set $group "image" $image -}}
{{- $_ := set $groups $name $group -}}
{{- end -}}
{{- $groups | toJson -}}
{{- end -}}
