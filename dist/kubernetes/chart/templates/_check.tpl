{{- /* Each file of the chart begins with these checks, because a file that comes earlier would fail with less clear words. The
schema refuses unknown values and wrong types. These checks refuse the rest, with a sentence about what to do. */ -}}
{{- define "podlane.check" -}}
{{- if not .Values.store }}
  {{- fail "\n\nthe value store is missing. These may be the values of an older chart, whose store was etcd: --reuse-values keeps an older chart's defaults. To upgrade and to keep the leases in etcd, use: helm upgrade … --reset-then-reuse-values --set store=etcd\n" }}
{{- end }}
{{- with .Values.image.pullSecrets }}
  {{- fail "\n\nthe value image.pullSecrets of an older chart is now imagePullSecrets, a list of names. To upgrade, use: --set 'image.pullSecrets=,imagePullSecrets={NAME}'\n" }}
{{- end }}
{{- include "podlane.checkPlaces" . }}
{{- include "podlane.checkForms" . }}
{{- include "podlane.checkExtras" . }}
{{- include "podlane.checkStore" . }}
{{- if and (.Values.podMonitor).enabled (regexMatch "^(|127[.].*|\\[::1\\]:.*|localhost:.*)$" (.Values.metrics | default "")) }}
  {{- fail "\n\npodMonitor needs an address at which Prometheus reaches each node, such as --set metrics=:9473\n" }}
{{- end }}
{{- if not (or (.Values.serviceAccount).create (.Values.serviceAccount).name) }}
  {{- fail "\n\nserviceAccount.create is false: give the name of an existing ServiceAccount, such as --set serviceAccount.name=podlane\n" }}
{{- end }}
{{- end }}

{{- /* What a value must look like. A pattern of the schema could not explain it. */ -}}
{{- define "podlane.checkForms" -}}
{{- $network := .Values.network }}
{{- $forms := list
  (list "network.Network" $network.Network "^$|^[0-9.]+/[0-9]+$" "an IPv4 prefix, such as 10.244.0.0/16")
  (list "network.IPv6Network" $network.IPv6Network "^$|^[0-9A-Fa-f:.]+/[0-9]+$" "an IPv6 prefix, such as fd00:5::/48")
  (list "network.Backend.Type" ($network.Backend).Type "^$|^(?i)vxlan$" "vxlan: podlane has no other backend")
  (list "metrics" .Values.metrics "^$|^([^: ]*|\\[[^ ]*\\]):([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])$" "an address with a port, such as :9473 for all addresses of the node")
  (list "settings.http" (hasKey .Values.settings "http" | ternary (index .Values.settings "http") ":9472") "^(127\\.0\\.0\\.1|0\\.0\\.0\\.0|\\[::\\])?:9472$" "an address with the port 9472, because the probes use 127.0.0.1:9472. For another port with metrics, use the value metrics")
  (list "settings.cni-conf" (index .Values.settings "cni-conf") "^(/etc/cni/net\\.d/[^/]+)?$" "a file in /etc/cni/net.d, the folder in the container. The value cni.conf is the folder on the node")
  (list "settings.resync" (index .Values.settings "resync") "^$|^([0-9.]+(ms|s|m|h))+$" "a duration with its unit, such as 30s")
  (list "settings.lease-ttl" (index .Values.settings "lease-ttl") "^$|^([0-9.]+(ms|s|m|h))+$" "a duration with its unit, such as 24h")
  (list "podMonitor.interval" (.Values.podMonitor).interval "^$|^[0-9]+(ms|s|m|h)$" "a duration with its unit, such as 30s")
  (list "image.digest" .Values.image.digest "^$|^sha256:[0-9a-f]{64}$" "sha256: and 64 hexadecimal digits, or remove it and use image.tag")
  (list "global.imageRegistry" (.Values.global).imageRegistry "^[^:/]*(:[0-9]+)?(/.*)?$" "a registry without https://, such as registry.example:5000")
  (list "cni.bin" .Values.cni.bin "^/" "the folder with its whole path, such as /opt/cni/bin")
  (list "cni.conf" .Values.cni.conf "^/" "the folder with its whole path, such as /etc/cni/net.d")
}}
{{- with ($network.Backend).VNI }}
  {{- if or (lt (int64 .) 1) (gt (int64 .) 16777215) }}{{ fail (printf "\n\nnetwork.Backend.VNI is %d: give a number from 1 to 16777215\n" (int64 .)) }}{{ end }}
{{- end }}
{{- range .Values.etcd.endpoints }}
  {{- $forms = append $forms (list "etcd.endpoints" . "^https?://[^, /]+:[0-9]+/?$" "a list of URLs with their ports, such as {http://10.0.0.1:2379}") }}
{{- end }}
{{- range .Values.extraArgs }}
  {{- $forms = append $forms (list "extraArgs" . "^--?[a-z]" "a list of flags, each with its value, such as {--log-level=debug}") }}
{{- end }}
{{- range $forms }}
  {{- $value := index . 1 | default "" | toString }}
  {{- if not (regexMatch (index . 2) $value) }}
    {{- fail (printf "\n\n%s is %q: give %s\n" (index . 0) $value (index . 3)) }}
  {{- end }}
{{- end }}
{{- if hasSuffix ":9472" (.Values.metrics | default "") }}
  {{- fail "\n\nmetrics has the port 9472, which podlaned's other server uses: give another one, such as --set metrics=:9473\n" }}
{{- end }}
{{- end }}

{{- /* Settings of podlaned that are not in the value settings, each with what to use. */ -}}
{{- define "podlane.checkPlaces" -}}
{{- $place := "it has a fixed place in the container" }}
{{- $name := "podlane uses the name of each Node" }}
{{- $address := "it differs between nodes. Choose the interface with settings.iface; or, with the store kubernetes, add the annotation flannel.alpha.coreos.com/public-ip-overwrite or public-ipv6-overwrite to the Node" }}
{{- $places := dict "store" "use the value store" "metrics" "use the value metrics" "etcd-endpoints" "use the value etcd.endpoints"
  "network-file" "use the value network" "cni-bin" "use the value cni.bin, the folder on the node"
  "config" $place "run-dir" $place "state-dir" $place "node-id" $name "node-name" $name "public-ip" $address "public-ipv6" $address }}
{{- range $key := keys .Values.settings | sortAlpha }}
  {{- with get $places $key }}{{ fail (printf "\n\nremove settings.%s: %s\n" $key .) }}{{ end }}
{{- end }}
{{- end }}

{{- /* Flags and variables that only one container would get. */ -}}
{{- define "podlane.checkExtras" -}}
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
{{- end }}

{{- /* One store with all that it needs, and nothing of the other. */ -}}
{{- define "podlane.checkStore" -}}
{{- $etcd := list }}
{{- range $key := list "endpoints" "deploy" "members" "tls" }}
  {{- if get $.Values.etcd $key }}{{ $etcd = append $etcd (print "etcd." $key) }}{{ end }}
{{- end }}
{{- range $key := keys .Values.settings | sortAlpha }}
  {{- if or (hasPrefix "etcd-" $key) (eq $key "lease-ttl") }}{{ $etcd = append $etcd (print "settings." $key) }}{{ end }}
{{- end }}
{{- range .Values.extraEnv }}
  {{- if hasPrefix "PODLANE_ETCD_" .name }}{{ $etcd = append $etcd (print "extraEnv " .name) }}{{ end }}
{{- end }}
{{- range .Values.extraArgs }}
  {{- if regexMatch "^--?etcd-" . }}{{ $etcd = append $etcd (print "extraArgs " .) }}{{ end }}
{{- end }}
{{- if .Values.release }}{{ $etcd = append $etcd "release" }}{{ end }}
{{- if and (eq .Values.store "kubernetes") $etcd }}
  {{- fail (printf "\n\ntwo stores: the store is kubernetes, but etcd's settings are given too: %s. To keep the leases in etcd, add --set store=etcd. Otherwise remove these values\n" (join ", " $etcd)) }}
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
  {{- if and .Values.etcd.members (not .Values.etcd.deploy) }}
    {{- fail "\n\netcd.members is only for an etcd that podlane deploys: add --set etcd.deploy=true, or remove etcd.members\n" }}
  {{- end }}
  {{- range .Values.etcd.endpoints }}
    {{- if and $.Values.etcd.tls (hasPrefix "http://" .) }}
      {{- fail (printf "\n\netcd.tls is true, but the endpoint %s has no TLS: give an https:// URL, or remove etcd.tls\n" .) }}
    {{- else if and (hasPrefix "https://" .) (not (or $.Values.etcd.tls (index $.Values.settings "etcd-cafile"))) }}
      {{- fail (printf "\n\nthe endpoint %s has TLS: add --set etcd.tls=true, and put ca.crt, tls.crt and tls.key into the Secret %s\n" . $.Values.etcd.clientSecret) }}
    {{- end }}
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
{{- end }}
