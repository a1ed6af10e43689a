{{- define "podlane.image" -}}
image: {{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- with .Values.image.pullPolicy }}
imagePullPolicy: {{ . }}
{{- end }}
{{- end }}

{{- define "podlane.pullSecrets" -}}
{{- with .Values.image.pullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "podlane.endpoints" -}}
{{- if .Values.etcd.deploy -}}
  {{- $urls := list -}}
  {{- range .Values.etcd.members -}}
    {{- $urls = append $urls (printf "%s://%s:12379" (include "podlane.scheme" $) .address) -}}
  {{- end -}}
  {{- join "," $urls -}}
{{- else -}}
  {{- join "," .Values.etcd.endpoints -}}
{{- end -}}
{{- end }}

{{- define "podlane.scheme" -}}
{{ .Values.etcd.tls | ternary "https" "http" }}
{{- end }}

{{- define "podlane.unprivileged" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}
