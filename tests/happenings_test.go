package tests

var happenings = []happening{
	{
		"`podlaned` is stopped, killed, upgraded, or hangs",
		"no packet is lost: the overlay goes on without it. It changes nothing when it ends and, if nothing changed meanwhile, nothing when it starts",
		[]string{"tests/faults.TestDaemon", "tests/promises.TestRestartKeepsTheSubnetAndCostsNothing"},
	},
	{
		"a member of etcd fails; or all of etcd is away, slow, or cut off",
		"no packet is lost. Another member is asked; the node keeps its pod subnet for the lease's time (a day); pods are attached all the time (`/readyz/attach`), and `/readyz` and `podlaned status` report the problem",
		[]string{"tests/faults.TestEtcd", "tests/faults.TestBoot"},
	},
	{
		"a member of etcd cannot serve, such as a learner while a member is replaced",
		"the call goes to the next member at once; a node is ready in under 2 s. If the only member is a learner, the error names it",
		[]string{"subnet/etcd.TestLearnerBesideAVoter", "subnet/etcd.TestMemberThatRefusesBesideOneThatServes", "subnet/etcd.TestLearnerAloneIsNamed", "tests/input.TestLearnerAmongTheEndpoints"},
	},
	{
		"etcd answers reads and refuses writes (no space, a corrupt member, a user that may only read), and podlaned starts or the node boots",
		"the node runs on its own lease, from etcd or from its saved state, with the newest peers. Pods are attached. `/readyz` is 503 until the write succeeds; it names the refusal and the command that ends it",
		[]string{"tests/faults.TestEtcdRefusesWrites", "subnet/etcd.TestNodeStartsWhileEtcdRefusesWrites", "tests/input.TestEtcdDeniesAccess"},
	},
	{
		"the CA, the certificate or the password for etcd is replaced, or its file is unusable for a moment",
		"it is used from the next connection on, without a signal. While the file is unusable, its old content stays in use and `podlaned status` names it",
		[]string{"subnet/etcd.TestCAIsReplaced", "subnet/etcd.TestPasswordIsReplaced", "subnet/etcd.TestFilesAreBrieflyUnusable", "tests/input.TestCertificatesThatDoNotMatch", "tests/input.TestEtcdDeniesAccess"},
	},
	{
		"a node boots while etcd is away",
		"it is back within 5 s, from its saved state, unless its lease has run out meanwhile",
		[]string{"tests/faults.TestBoot", "tests/faults.TestLeaseRunsOut"},
	},
	{
		"etcd loses its data, or is restored from an older backup; somebody deletes the leases or the configuration",
		"no packet is lost: the nodes put both back, and peers that are missing meanwhile are kept for 5 minutes",
		[]string{"tests/faults.TestEtcdIsWiped", "tests/faults.TestEtcdIsRestored", "tests/faults.TestCompaction"},
	},
	{
		"etcd is restored from a backup in which a node's pod subnet belongs to a node that no longer exists",
		"the node waits 10 s for an answer of the other one, then takes its pod subnet back. If the other answers, or podlaned cannot tell whether the lease is from the backup, both keep their pods and `podlaned status` names the conflict",
		[]string{"tests/faults.TestLeasesInTheWay", "subnet/etcd.TestLivePodlanedAnswersForItsPodSubnet", "subnet/etcd.TestHolderThatWasCutOffFindsTheConflict"},
	},
	{
		"the network configuration alone is deleted while nodes run",
		"its last version is restored within 2 s, and new nodes join. A node that may not write it reports this",
		[]string{"tests/faults.TestEtcdRefusesWrites", "subnet/etcd.TestDeletedConfigurationIsRestored", "subnet/etcd.TestNodeMayNotRestoreTheConfiguration"},
	},
	{
		"somebody deletes or alters a route, neighbour, FDB entry or firewall rule; or the device",
		"it is put back within 1 s (the device 2 s), counted, and named in the log and in `podlaned status`",
		[]string{"tests/faults.TestDrift", "tests/faults.TestDevice"},
	},
	{
		"another program sets the pods' bridge down, removes its addresses, or turns forwarding off on it or on the underlay",
		"it is restored within 1 s and counted; the firewall still filters the bridge's packets. If the bridge is deleted, a problem names its pods",
		[]string{"tests/faults.TestBridge"},
	},
	{
		"another program's routing rule leads packets past podlane's routes",
		"`podlaned status` exits with 1. It names the rule and the command that fixes it; the rule can stay",
		[]string{"tests/faults.TestBridge", "backend/vxlan.TestOtherRoutesAndRulesDivertTraffic"},
	},
	{
		"the kernel refuses something for one peer",
		"all others are served as ever; that one is tried again, and `podlaned status` says what the kernel says",
		[]string{"tests/faults.TestPeerThatTheKernelRefuses"},
	},
	{
		"the underlay flaps, or its address, MTU or interface changes",
		"it is followed within 2 s, with the same pod subnet, by this node and by its peers; one that cannot carry the overlay is named in `podlaned status`",
		[]string{"tests/faults.TestUnderlay"},
	},
	{
		"a VPN or a second interface gets the default route, or no default route is left",
		"the node keeps the address that its peers know, also after a restart or a reboot. No packet is lost, and `podlaned status` has a note",
		[]string{"tests/faults.TestUnderlay"},
	},
	{
		"the underlay's address is on `lo`, or its MTU is 1280",
		"the overlay gets the MTU of the routes to the peers; an IPv4 overlay works down to an MTU of 576",
		[]string{"tests/input.TestUnderlayOnLoopback", "tests/input.TestSmallUnderlay"},
	},
	{
		"the node's own lease is deleted, or runs out while it is cut off",
		"it is claimed again, and peers reach the pods again within 2 s. Until then, if it has run out, no new pod is attached, and the CNI plugin returns the reason",
		[]string{"tests/faults.TestOwnKey", "tests/faults.TestLeaseRunsOut"},
	},
	{
		"another node takes the pod subnet over",
		"the pods go on; no new pod is attached, and `/readyz`, `podlaned status` and the CNI plugin say why",
		[]string{"tests/faults.TestOwnKey"},
	},
	{
		"two nodes have one address, one machine id or one name",
		"the second asks, and waits up to 10 s. Where the first answers it keeps its lease and loses no packet; the second is refused (address) or gets a fresh pod subnet (the rest), in words. Where it is silent its lease is taken over",
		[]string{"tests/faults.TestIdentity", "tests/faults.TestVagrantBoxes", "tests/faults.TestClonedMachines", "tests/faults.TestRecycledAddress"},
	},
	{
		"live nodes swap their addresses",
		"each has its new address in its lease within 2 s",
		[]string{"tests/faults.TestLeasesInTheWay"},
	},
	{
		"a flannel node returns with another address",
		"its newer lease is used; the older one is shown as skipped",
		[]string{"tests/promises.TestFlannelNodeReturnsWithAnotherIPv4Address"},
	},
	{
		"many nodes start at the same moment",
		"each gets a pod subnet of its own: etcd decides in one transaction, and the others take the next",
		[]string{"subnet/etcd.TestHundredJoiners", "tests/faults.TestTwentyNodesJoinAtTheSameMoment"},
	},
	{
		"somebody writes to etcd what is not a lease, or what would take a peer's place",
		"it is skipped, counted and shown; memory is bounded and no peer is lost",
		[]string{"tests/input.TestFloodOfJunk"},
	},
	{
		"a key in etcd covers pod subnets and no node can use it",
		"nodes still join and keep their leases and peers; `podlaned status` names the key",
		[]string{"tests/faults.TestLeasesInTheWay", "subnet/etcd.TestKeysThatNoNodeCanUseAreIgnored"},
	},
	{
		"a lease has an address that no node can have, or pod subnets on the underlay",
		"it is skipped, and `podlaned status` shows the reason; no other peer is affected",
		[]string{"tests/input.TestLeaseThatCannotBeProgrammed", "tests/promises.TestPeersAreCheckedAgainWhenTheUnderlayChanges"},
	},
	{
		"the disk is full or read-only; the clock jumps",
		"no packet is lost. It is logged once and recovers by itself, 2 s after the disk has space again",
		[]string{"tests/faults.TestDisksFailWhilePodlanedRuns", "tests/faults.TestDisksFailBeforePodlanedStarts", "tests/faults.TestClock"},
	},
	{
		"the firewall is reloaded, or iptables' FORWARD policy becomes DROP",
		"the pods talk again within 1 s",
		[]string{"tests/faults.TestFirewall"},
	},
	{
		"iptables' FORWARD chain rejects everything at its end (RHEL's iptables-services)",
		"pods reach each other again within 1 s; an operator's earlier drop still applies",
		[]string{"tests/faults.TestFirewall", "tests/faults.TestFirewallThatTellsNothing"},
	},
	{
		"rules of another program drop pods' packets or VXLAN",
		"within 1 s `podlaned status` exits with 1 and gives the commands that fix it; a rule that podlane cannot evaluate is a note",
		[]string{"tests/faults.TestOtherFirewalls"},
	},
	{
		"a peer's VXLAN arrives on another interface than this node answers on",
		"it is dropped and counted, and a note names the peer and the interface",
		[]string{"tests/faults.TestOtherFirewalls"},
	},
	{
		"VXLAN comes from a host that is not a peer, or from a pod; a pod uses an address that is not its node's",
		"it is dropped, and counted",
		[]string{"tests/intruders.TestIntruders", "tests/intruders.TestPeerThatLeavesIsAStranger", "tests/intruders.TestPodsAndOtherNodesOnTheUnderlay"},
	},
	{
		"a pod gets the address of an earlier pod",
		"the first packet reaches it, from its node, from the pods of its node and from every other node",
		[]string{"gate.TestAddressIsUsedAgain", "tests/promises.TestDualStack"},
	},
	{
		"a node crashes while a pod is attached, and host-local's reservation files are left empty",
		"the next ADD or GC frees those addresses",
		[]string{"cni-shim.TestReservationsWithoutAnOwnerAreFreedByADD", "cni-shim.TestReservationsWithoutAnOwnerAreFreedByGC"},
	},
}
