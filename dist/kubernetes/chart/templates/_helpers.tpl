{{- /* An image by its name, below the registry of global.imageRegistry if that is set. The first part of a name is a registry
if it has a dot or a port. */ -}}
{{- define "podlane.registry" -}}
{{- $name := .name -}}
{{- with (.root.Values.global).imageRegistry -}}
{{- $name = printf "%s/%s" (trimSuffix "/" .) (regexReplaceAll "^([^/]*[.:][^/]*|localhost)/" $name "") -}}
{{- end -}}
{{ $name }}
{{- end }}

{{- define "podlane.image" -}}
{{- $name := include "podlane.registry" (dict "root" . "name" .Values.image.repository) -}}
image: {{ with .Values.image.digest }}{{ $name }}@{{ . }}{{ else }}{{ $name }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end }}
{{- with .Values.image.pullPolicy }}
imagePullPolicy: {{ . }}
{{- end }}
{{- end }}

{{- define "podlane.pullSecrets" -}}
{{- with concat ((.Values.global).imagePullSecrets | default list) (.Values.imagePullSecrets | default list) }}
imagePullSecrets:
  {{- range . }}
  - name: {{ if kindIs "map" . }}{{ .name }}{{ else }}{{ . }}{{ end }}
  {{- end }}
{{- end }}
{{- end }}

{{- define "podlane.serviceAccount" -}}
{{ (.Values.serviceAccount).name | default "podlane" }}
{{- end }}

{{- /* Distributions of Rancher: their CNI folders are the usual ones if their own CNI is turned off. They have no
ClusterConfiguration of kubeadm, and their default range of pods is this one. */ -}}
{{- define "podlane.network" -}}
{{- $network := .Values.network -}}
{{- if and (regexMatch "[+](k3s|rke2)" .Capabilities.KubeVersion.Version) (eq .Values.store "kubernetes") (not (or $network.Network $network.IPv6Network)) -}}
{{- $network = merge (dict "Network" "10.42.0.0/16") $network -}}
{{- end -}}
{{ toJson $network }}
{{- end }}

{{- /* Kubernetes 1.30 has these policies in v1, and adds the node's name to tokens, which the policy needs. */ -}}
{{- define "podlane.admissionPolicy" -}}
{{- if kindIs "bool" .Values.admissionPolicy -}}
{{ .Values.admissionPolicy | ternary "yes" "" }}
{{- else if semverCompare ">=1.30.0-0" .Capabilities.KubeVersion.Version -}}
yes
{{- end -}}
{{- end }}

{{- /* As podlane makes the keys of annotations: a prefix can be a domain, or a domain with the beginning of a name. */ -}}
{{- define "podlane.annotationPrefix" -}}
{{- $prefix := index .Values.settings "annotation-prefix" | default "flannel.alpha.coreos.com" -}}
{{- $prefix = contains "/" $prefix | ternary $prefix (print $prefix "/") -}}
{{ $prefix }}{{ if not (regexMatch "[/-]$" $prefix) }}-{{ end }}
{{- end }}

{{- define "podlane.endpoints" -}}
{{- if .Values.etcd.deploy -}}
  {{- $urls := list -}}
  {{- range .Values.etcd.members -}}
    {{- $urls = append $urls (printf "%s://%s:12379" (include "podlane.scheme" $) (include "podlane.host" .address)) -}}
  {{- end -}}
  {{- join "," $urls -}}
{{- else -}}
  {{- join "," .Values.etcd.endpoints -}}
{{- end -}}
{{- end }}

{{- define "podlane.scheme" -}}
{{ .Values.etcd.tls | ternary "https" "http" }}
{{- end }}

{{- /* An address as it is written in a URL. */ -}}
{{- define "podlane.host" -}}
{{ contains ":" . | ternary (printf "[%s]" .) . }}
{{- end }}

{{- define "podlane.settings" -}}
{{- $settings := dict "store" .Values.store "cni-conf" "/etc/cni/net.d/10-podlane.conflist" "bridge-netfilter" true }}
{{- if eq .Values.store "etcd" }}
{{- $_ := set $settings "etcd-endpoints" (include "podlane.endpoints" .) }}
{{- if .Values.etcd.tls }}
{{- range $key, $file := dict "etcd-cafile" "ca.crt" "etcd-certfile" "tls.crt" "etcd-keyfile" "tls.key" }}
{{- $_ := set $settings $key (printf "/etc/podlane/etcd/%s" $file) }}
{{- end }}
{{- end }}
{{- end }}
{{- with .Values.metrics }}
{{- $_ := set $settings "metrics" . }}
{{- end }}
{{- range $key, $value := mergeOverwrite $settings .Values.settings }}
PODLANE_{{ $key | upper | replace "-" "_" }}: {{ $value | toString | quote }}
{{- end }}
{{- end }}

{{- define "podlane.unprivileged" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}
