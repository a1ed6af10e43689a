package tests

var happenings = []happening{
	{
		"`podlaned` is stopped, killed, upgraded, or hangs",
		"no packet is lost: the kernel forwards without it. `podlaned` changes nothing when it ends. If nothing changed meanwhile, it also changes nothing when it starts",
		[]string{"tests/faults.TestDaemon", "tests/promises.TestRestartKeepsTheSubnetAndCostsNothing", "tests/intruders.TestTableOfAFormerVersionIsReplaced"},
	},
	{
		"a member of etcd fails; or all of etcd is down, slow or unreachable",
		"no packet is lost. `podlaned` asks another member. The node keeps its pod subnet for the lease's time (a day), and pods can be attached (`/readyz/attach`). `/readyz` and `podlaned status` report the problem",
		[]string{"tests/faults.TestEtcd", "tests/faults.TestBoot"},
	},
	{
		"a member of etcd cannot serve, such as a learner while a member is replaced",
		"`podlaned` asks the next member at once, and a node is ready in less than 2 s. If the only member is a learner, the error names it",
		[]string{"subnet/etcd.TestLearnerBesideAVoter", "subnet/etcd.TestMemberThatRefusesBesideOneThatServes", "subnet/etcd.TestLearnerAloneIsNamed", "tests/input.TestLearnerAmongTheEndpoints"},
	},
	{
		"etcd answers reads but refuses writes (no space, a corrupt member, a read-only user), and `podlaned` starts or the node boots",
		"the node uses its own lease, from etcd or from its saved state, with the newest peers. Pods can be attached. `/readyz` is 503 until the write succeeds. It names the refusal and the command that ends it",
		[]string{"tests/faults.TestEtcdRefusesWrites", "subnet/etcd.TestNodeStartsWhileEtcdRefusesWrites", "tests/input.TestEtcdDeniesAccess"},
	},
	{
		"the CA, the certificate or the password for etcd is replaced, or its file is unusable for a moment",
		"the next connection uses the new content; no signal is needed. While a file is unusable, its old content stays in use, and `podlaned status` names the file",
		[]string{"subnet/etcd.TestCAIsReplaced", "subnet/etcd.TestPasswordIsReplaced", "subnet/etcd.TestFilesAreBrieflyUnusable", "tests/input.TestCertificatesThatDoNotMatch", "tests/input.TestEtcdDeniesAccess"},
	},
	{
		"a node boots while etcd is down",
		"its overlay works within 5 s, from the saved state, unless its lease has expired",
		[]string{"tests/faults.TestBoot", "tests/faults.TestLeaseRunsOut"},
	},
	{
		"etcd loses its data, or is restored from an older backup; leases or the configuration are deleted",
		"no packet is lost. The nodes restore both, and keep missing peers for 5 minutes",
		[]string{"tests/faults.TestEtcdIsWiped", "tests/faults.TestEtcdIsRestored", "tests/faults.TestCompaction"},
	},
	{
		"etcd is restored from a backup in which a node's pod subnet belongs to a node that no longer exists",
		"the node waits 10 s for an answer of the other node, then takes its pod subnet back. If the other node answers, or `podlaned` cannot prove that the lease is from the backup, both keep their pods. `podlaned status` names the conflict",
		[]string{"tests/faults.TestStaleLeasesAndJunkKeys", "subnet/etcd.TestLivePodlanedAnswersForItsPodSubnet", "subnet/machine.TestRestoredSnapshot"},
	},
	{
		"only the network configuration is deleted while nodes run",
		"a node restores its last version within 2 s, and new nodes join. A node that may not write it reports this",
		[]string{"tests/faults.TestEtcdRefusesWrites", "subnet/etcd.TestDeletedConfigurationIsRestored", "subnet/etcd.TestNodeMayNotRestoreTheConfiguration"},
	},
	{
		"with `store: kubernetes`, the API server, podlane-kube or `podlaned` is down, or all of them",
		"no packet is lost, and pods can be attached. A node boots from its saved state. `/readyz`, `podlaned status` and the Node's condition report it",
		[]string{"tests/kubestore.TestAway", "tests/kubestore.TestLife"},
	},
	{
		"an API server answers with an old list; or the cluster is restored from a backup",
		"no packet is lost. A list that is older than what was seen is confirmed first. After a restore, missing peers are kept for 5 minutes",
		[]string{"tests/kubestore.TestRestore", "subnet/kubernetes.TestLossOfData"},
	},
	{
		"a Node is deleted, or it is registered again with another podCIDR",
		"its peers drop it within 1 s. If its pods still run when it is registered again, they keep their addresses and are reached. No new pod is attached there, and the text names both podCIDRs",
		[]string{"tests/kubestore.TestNodes"},
	},
	{
		"a Node has no podCIDR, or one outside the network; the network configuration, the token or the CA is wrong",
		"`podlaned status`, the Node's condition and an Event name it, with what to do. Nothing restarts in a loop, and the node recovers by itself",
		[]string{"tests/kubestore.TestFirstStart", "tests/kubestore.TestFirstInstallationReportsWhatIsWrong", "tests/kubestore.TestChannel"},
	},
	{
		"another program deletes or changes a route, neighbour, FDB entry or firewall rule, or the device",
		"`podlaned` restores it within 1 s (the device within 2 s) and counts the repair. The log and `podlaned status` name it",
		[]string{"tests/faults.TestDrift", "tests/faults.TestDevice"},
	},
	{
		"another program sets the pods' bridge down, removes its addresses, or turns off forwarding on it or on the underlay",
		"`podlaned` restores it within 1 s and counts the repair. The firewall still filters the bridge's packets. If the bridge is deleted, a problem in `podlaned status` names its pods",
		[]string{"tests/faults.TestBridge"},
	},
	{
		"another program's routing rule sends packets past podlane's routes",
		"`podlaned status` exits with 1. It names the rule and the command that fixes it; the rule can stay",
		[]string{"tests/faults.TestBridge", "backend/vxlan.TestOtherRoutesAndRulesDivertTraffic"},
	},
	{
		"the kernel refuses an entry for one peer",
		"all other peers work. `podlaned` tries again, and `podlaned status` shows the kernel's error",
		[]string{"tests/faults.TestPeerThatTheKernelRefuses"},
	},
	{
		"the underlay goes down and up, or its address, MTU or interface changes",
		"this node and its peers follow within 2 s, and the pod subnet stays the same. If the underlay cannot carry the overlay, `podlaned status` names it",
		[]string{"tests/faults.TestUnderlay"},
	},
	{
		"a VPN or a second interface gets the default route, or no default route is left",
		"the node keeps the address that its peers know, also after a restart or a reboot. No packet is lost. `podlaned status` shows a note",
		[]string{"tests/faults.TestUnderlay"},
	},
	{
		"the underlay's address is on `lo`, or its MTU is 1280",
		"the overlay gets the MTU of the routes to the peers. An IPv4 overlay works down to an MTU of 576",
		[]string{"tests/input.TestUnderlayOnLoopback", "tests/input.TestSmallUnderlay"},
	},
	{
		"a node's lease is deleted, or expires while the node is cut off from etcd",
		"the node writes it again, and peers reach its pods within 2 s. While the lease is expired, no new pod is attached, and the CNI plugin returns the reason",
		[]string{"tests/faults.TestOwnKey", "tests/faults.TestLeaseRunsOut"},
	},
	{
		"another node writes its own lease for this node's pod subnet",
		"the pods keep working. No new pod is attached, and `/readyz`, `podlaned status` and the CNI plugin report the reason",
		[]string{"tests/faults.TestOwnKey"},
	},
	{
		"two nodes have the same address, machine id or name",
		"the second node asks the first one, and waits up to 10 s. If the first one answers, it keeps its lease and loses no packet. The second one then gets an error (same address), or another pod subnet and a warning (same id or name). If the first one does not answer, the second one adopts its lease if the address, or both id and name, are the same",
		[]string{"tests/faults.TestIdentity", "tests/faults.TestVagrantBoxes", "tests/faults.TestClonedMachines", "tests/faults.TestRecycledAddress"},
	},
	{
		"running nodes swap their addresses",
		"each writes its new address to its lease within 2 s",
		[]string{"tests/faults.TestStaleLeasesAndJunkKeys"},
	},
	{
		"a flannel node returns with another address",
		"its newer lease is used. `podlaned status` shows the older one as skipped",
		[]string{"tests/promises.TestFlannelNodeReturnsWithAnotherIPv4Address"},
	},
	{
		"many nodes start at the same moment",
		"each gets its own pod subnet. etcd decides in one transaction, and the others choose the next free one",
		[]string{"subnet/etcd.TestHundredJoiners", "tests/faults.TestTwentyNodesJoinAtTheSameMoment"},
	},
	{
		"etcd gets keys that are not leases, or leases that would replace a peer",
		"`podlaned` skips, counts and shows them. Its memory is bounded, and no peer is lost",
		[]string{"tests/input.TestFloodOfJunk"},
	},
	{
		"a key in etcd covers pod subnets, but no node can use it",
		"nodes still join, and keep their leases and peers. `podlaned status` names the key",
		[]string{"tests/faults.TestStaleLeasesAndJunkKeys", "subnet/etcd.TestKeysThatNoNodeCanUseAreIgnored"},
	},
	{
		"a lease has an address that no node can have, or pod subnets on the underlay",
		"it is skipped, and `podlaned status` shows the reason. Other peers are not affected",
		[]string{"tests/input.TestLeaseThatCannotBeProgrammed", "tests/promises.TestPeersAreCheckedAgainWhenTheUnderlayChanges", "tests/kubestore.TestHostileNodes"},
	},
	{
		"the disk is full or read-only; the clock jumps",
		"no packet is lost. It is logged once. `podlaned` recovers 2 s after the disk has space again",
		[]string{"tests/faults.TestDisksFailWhilePodlanedRuns", "tests/faults.TestDisksFailBeforePodlanedStarts", "tests/faults.TestClock", "tests/kubestore.TestClock"},
	},
	{
		"the firewall is reloaded, or iptables' FORWARD policy becomes DROP",
		"pods reach each other again within 1 s",
		[]string{"tests/faults.TestFirewall"},
	},
	{
		"iptables' FORWARD chain rejects everything at its end (RHEL's iptables-services)",
		"pods reach each other again within 1 s. An operator's earlier drop rules still apply",
		[]string{"tests/faults.TestFirewall", "tests/faults.TestFirewallChangesWithoutNotification"},
	},
	{
		"rules of another program drop pods' packets or VXLAN",
		"within 1 s `podlaned status` exits with 1 and prints the commands that fix it. If podlane cannot evaluate a rule, it prints a note",
		[]string{"tests/faults.TestOtherFirewalls"},
	},
	{
		"a peer's VXLAN packets arrive on another interface than this node uses for that peer",
		"they are dropped and counted. A note in `podlaned status` names the peer and the interface",
		[]string{"tests/faults.TestOtherFirewalls"},
	},
	{
		"VXLAN comes from a host that is not a peer, or from a pod; a pod sends from an address outside its node's pod subnet",
		"the packets are dropped and counted",
		[]string{"tests/intruders.TestIntruders", "tests/intruders.TestPodSendsFromAddressesThatNoPodOfItsNodeHas", "tests/intruders.TestPodsFlowsToOtherNodes", "tests/intruders.TestVXLANWithAPeersSource", "tests/intruders.TestPeerThatLeavesIsRejected", "tests/intruders.TestPodsAndOtherNodesOnTheUnderlay"},
	},
	{
		"a pod gets the address of an earlier pod",
		"the first packet reaches it, from its node, from the pods of its node and from every other node",
		[]string{"gate.TestNewPodGetsTheAddressOfADeletedOne", "tests/promises.TestDualStack"},
	},
	{
		"a node crashes while a pod is attached, and host-local's reservation files are empty afterwards",
		"the next CNI ADD or GC frees those addresses",
		[]string{"cni-shim.TestReservationsWithoutAnOwnerAreFreedByADD", "cni-shim.TestReservationsWithoutAnOwnerAreFreedByGC"},
	},
}
