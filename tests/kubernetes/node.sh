#!/bin/sh
# node.sh NAME ADDRESS CONTROL_PLANE: the first process of a node, in mount, UTS, IPC, PID, cgroup and network namespaces of
# its own. DISK is the node's folder, BIN that of Kubernetes' programs, PKI that of the certificates. NODE_IPS are the addresses
# of the Node, SERVICES the ranges of the Services' addresses. What is run here again
# and again are the services that an init would run.
set -u
name=$1 address=$2 server=$3
hostname "$name"
mount --make-rprivate /
umount -R -l /sys/fs/cgroup
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t tmpfs -o mode=755 tmpfs /sys/fs/cgroup
for c in $CGROUPS; do # mounted inside the cgroup namespace: the node's cgroup is the root
	mkdir -p "/sys/fs/cgroup/$c"
	if [ "$c" = systemd ]; then c=none,name=systemd; fi
	mount -t cgroup -o "$c" cgroup "/sys/fs/cgroup/${c#none,name=}"
done
# The kubelet sets sysctls of the whole machine: it gets files that hold what it wants.
for setting in vm/overcommit_memory=1 vm/panic_on_oom=0 kernel/panic=10 kernel/panic_on_oops=1 kernel/keys/root_maxkeys=1000000 kernel/keys/root_maxbytes=25000000; do
	file=$DISK/sysctl/${setting%%=*}
	mkdir -p "${file%/*}"
	echo "${setting##*=}" >"$file"
	mount --bind "$file" "/proc/sys/${setting%%=*}"
done
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/netns /run/lock
for folder in /var/lib /etc/cni /opt/cni /var/log /etc/kubernetes; do
	mkdir -p "$DISK/fs$folder" "$folder"
	mount --bind "$DISK/fs$folder" "$folder"
done
mkdir -p /etc/cni/net.d /opt/cni/bin /var/lib/kubelet /var/log/pods
mount --make-rshared /
echo 1 >/proc/sys/net/ipv4/ip_forward
echo 1 >/proc/sys/net/ipv6/conf/all/forwarding
echo 1 >/proc/sys/net/bridge/bridge-nf-call-iptables
echo 1 >/proc/sys/net/bridge/bridge-nf-call-ip6tables

again() { # again LOG COMMAND...: runs a service, except while there is a file stopped-PROGRAM
	log=$DISK/$1.log
	shift
	while :; do
		[ -e "$DISK/stopped-${1##*/}" ] || "$@" >>"$log" 2>&1
		sleep 0.5
	done
}
flagged() { # with the flags that a file has when the service starts
	# shellcheck disable=SC2046 # several words
	"$@" $(cat "$DISK/controller-manager.flags")
}
if [ "$address" = "$server" ]; then
	again etcd "$BIN/../lab" etcd --name cp --data "$DISK/etcd" --client http://127.0.0.1:2379 --peer http://127.0.0.1:2380 --cluster cp=http://127.0.0.1:2380 &
	again apiserver "$BIN/kube-apiserver" --etcd-servers=http://127.0.0.1:2379 --advertise-address="$server" --secure-port=6443 \
		--tls-cert-file="$PKI/apiserver.crt" --tls-private-key-file="$PKI/apiserver.key" --client-ca-file="$PKI/ca.crt" \
		--service-account-issuer=https://kubernetes.default.svc.cluster.local --service-account-key-file="$PKI/ca.key" --service-account-signing-key-file="$PKI/ca.key" \
		--kubelet-client-certificate="$PKI/admin.crt" --kubelet-client-key="$PKI/admin.key" --kubelet-certificate-authority="$PKI/ca.crt" --kubelet-preferred-address-types=InternalIP \
		--requestheader-client-ca-file="$PKI/ca.crt" --requestheader-allowed-names=proxy-client --requestheader-extra-headers-prefix=X-Remote-Extra- --requestheader-group-headers=X-Remote-Group --requestheader-username-headers=X-Remote-User \
		--proxy-client-cert-file="$PKI/proxy-client.crt" --proxy-client-key-file="$PKI/proxy-client.key" \
		--authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction --allow-privileged=true --service-cluster-ip-range="$SERVICES" &
	again controller-manager flagged "$BIN/kube-controller-manager" --kubeconfig="$PKI/controller-manager.kubeconfig" --authentication-kubeconfig="$PKI/controller-manager.kubeconfig" --authorization-kubeconfig="$PKI/controller-manager.kubeconfig" \
		--leader-elect=false --use-service-account-credentials --service-account-private-key-file="$PKI/ca.key" --root-ca-file="$PKI/ca.crt" --cluster-signing-cert-file="$PKI/ca.crt" --cluster-signing-key-file="$PKI/ca.key" \
		--service-cluster-ip-range="$SERVICES" &
	again scheduler "$BIN/kube-scheduler" --kubeconfig="$PKI/scheduler.kubeconfig" --authentication-kubeconfig="$PKI/scheduler.kubeconfig" --authorization-kubeconfig="$PKI/scheduler.kubeconfig" --leader-elect=false &
fi
again containerd containerd --config "$DISK/containerd.toml" &
until ctr version >/dev/null 2>&1; do sleep 0.1; done
for archive in $IMAGES; do
	[ -e "$DISK/imported-${archive##*/}" ] || ctr -n k8s.io images import "$archive" >>"$DISK/import.log" 2>&1 && touch "$DISK/imported-${archive##*/}"
done
if [ "$address" = "$server" ]; then set -- --register-with-taints=node-role.kubernetes.io/control-plane=:NoSchedule; else set --; fi
again kubelet "$BIN/kubelet" --config="$DISK/kubelet.yaml" --kubeconfig="$PKI/$name.kubeconfig" --hostname-override="$name" --node-ip="$NODE_IPS" \
	"$@" &
again kube-proxy "$BIN/kube-proxy" --config="$DISK/proxy.yaml" --hostname-override="$name" &
wait
