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
{{ .Values.serviceAccount.name | default "podlane" }}
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

{{- /* Each file of the chart begins with these checks, because a file that comes earlier would fail with less clear words. */ -}}
{{- define "podlane.check" -}}
{{- if not .Values.store }}
  {{- fail "\n\nthe value store is missing. These may be the values of an older chart, whose store was etcd: --reuse-values keeps an older chart's defaults. To upgrade and to keep the leases in etcd, use: helm upgrade … --reset-then-reuse-values --set store=etcd\n" }}
{{- end }}
{{- with .Values.image.pullSecrets }}
  {{- fail "\n\nthe value image.pullSecrets of an older chart is now imagePullSecrets, a list of names. To upgrade, use: --set 'image.pullSecrets=,imagePullSecrets={NAME}'\n" }}
{{- end }}
{{- range $setting, $value := dict "store" "store" "metrics" "metrics" "http" "settings.http" "annotation-prefix" "settings.annotation-prefix" }}
  {{- range $.Values.extraArgs }}
    {{- if regexMatch (printf "^--?%s(=|$)" $setting) . }}
      {{- fail (printf "\n\nextraArgs has %s: other objects of the chart depend on this setting. Use the value %s\n" . $value) }}
    {{- end }}
  {{- end }}
  {{- range $.Values.extraEnv }}
    {{- if eq .name (printf "PODLANE_%s" ($setting | upper | replace "-" "_")) }}
      {{- fail (printf "\n\nextraEnv has %s: other objects of the chart depend on this setting. Use the value %s\n" .name $value) }}
    {{- end }}
  {{- end }}
{{- end }}
{{- $etcd := list }}
{{- range $key := list "endpoints" "deploy" "members" "tls" }}
  {{- if get $.Values.etcd $key }}{{ $etcd = append $etcd (print "etcd." $key) }}{{ end }}
{{- end }}
{{- range $key := keys .Values.settings | sortAlpha }}
  {{- if or (hasPrefix "etcd-" $key) (eq $key "lease-ttl") }}{{ $etcd = append $etcd (print "settings." $key) }}{{ end }}
{{- end }}
{{- if .Values.release }}{{ $etcd = append $etcd "release" }}{{ end }}
{{- if and (eq .Values.store "kubernetes") $etcd }}
  {{- fail (printf "\n\ntwo stores: the store is kubernetes, but etcd's settings are given too: %s. To keep the leases in etcd, add --set store=etcd. Otherwise remove them\n" (join ", " $etcd)) }}
{{- end }}
{{- if eq .Values.store "etcd" }}
  {{- if and .Values.etcd.deploy (not .Values.etcd.members) }}
    {{- fail "\n\netcd.deploy needs etcd.members: the name and the address of each Node that runs a member, such as --set 'etcd.members[0].node=cp1' --set 'etcd.members[0].address=10.0.0.1'\n" }}
  {{- else if not (or .Values.etcd.deploy .Values.etcd.endpoints) }}
    {{- fail "\n\nthe store etcd needs the URLs of its members, such as --set 'etcd.endpoints={http://10.0.0.1:2379}'; or etcd.deploy and etcd.members, for an etcd that podlane deploys. Without etcd, use the default: store=kubernetes\n" }}
  {{- else if not (or .Values.network.Network .Values.network.IPv6Network) }}
    {{- fail "\n\nthe store etcd needs the range of the pod network, such as --set network.Network=10.5.0.0/16. It is written to etcd if etcd has none. It should be kube-proxy's --cluster-cidr\n" }}
  {{- end }}
  {{- if and .Values.etcd.deploy .Values.etcd.endpoints }}
    {{- fail "\n\ntwo etcds: etcd.deploy deploys one, and etcd.endpoints names another. Remove one of the two values\n" }}
  {{- end }}
  {{- $names := dict }}
  {{- range .Values.etcd.members }}
    {{- if hasKey $names .node }}{{ fail (printf "\n\netcd.members has the Node %s twice\n" .node) }}{{ end }}
    {{- $_ := set $names .node "" }}
  {{- end }}
  {{- $families := dict }}
  {{- range .Values.etcd.members }}{{ $_ := set $families (contains ":" .address | toString) .address }}{{ end }}
  {{- if and .Values.etcd.deploy (gt (len $families) 1) }}
    {{- fail (printf "\n\netcd.members has addresses of both families: %s. Give each member the first InternalIP of its Node; these have one family\n" (values $families | sortAlpha | join ", ")) }}
  {{- end }}
{{- end }}
{{- if and .Values.podMonitor.enabled (regexMatch "^(|127[.].*|\\[::1\\]:.*|localhost:.*)$" .Values.metrics) }}
  {{- fail "\n\npodMonitor needs an address at which Prometheus reaches each node, such as --set metrics=:9473\n" }}
{{- end }}
{{- if not (or .Values.serviceAccount.create .Values.serviceAccount.name) }}
  {{- fail "\n\nserviceAccount.create is false: give serviceAccount.name\n" }}
{{- end }}
{{- end }}
