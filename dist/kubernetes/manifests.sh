#!/bin/sh
# manifests.sh VERSION FOLDER: writes podlane.yaml and podlane-k3s.yaml into FOLDER, for kubectl apply -f. The first is for a
# cluster that kubeadm made, the second for k3s and RKE2 with their default range of pods. It needs bin/helm.
set -eu
version=$1 out=$2
dir=$(dirname "$0")
helm=$dir/../../bin/helm
render() { # render FILE KUBERNETES
	{
		echo "# podlane $version for Kubernetes 1.30 or later: kubectl apply -f $1"
		"$helm" template podlane "$dir/chart" --namespace podlane --kube-version "$2" --set-string "image.tag=$version" --set namespace.create=true
	} >"$out/$1"
}
render podlane.yaml v1.30.0
render podlane-k3s.yaml v1.30.0+k3s1
