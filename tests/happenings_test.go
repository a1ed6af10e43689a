package tests

var happenings = []happening{
	{
		"`podlaned` is stopped, killed, upgraded, or hangs",
		"no packet is lost: the overlay goes on without it. It changes nothing when it ends and, if nothing changed meanwhile, nothing when it starts",
		[]string{"tests/faults.TestDaemon", "tests/promises.TestRestartKeepsTheSubnetAndCostsNothing"},
	},
	{
		"a member of etcd fails; or all of etcd is away, slow, or cut off",
		"no packet is lost. Another member is asked; the node keeps its pod subnet for the lease's time (a day); `/readyz` and `podlaned status` say so",
		[]string{"tests/faults.TestEtcd"},
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
		"somebody deletes or alters a route, neighbour, FDB entry or firewall rule; or the device",
		"it is put back within 1 s (the device 2 s), counted, and named in the log and in `podlaned status`",
		[]string{"tests/faults.TestDrift", "tests/faults.TestDevice"},
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
		"the node's own lease is deleted, or runs out while it is cut off",
		"it is taken again, and peers reach the pods again within 2 s",
		[]string{"tests/faults.TestOwnKey"},
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
		"the disk is full or read-only; the clock jumps",
		"no packet is lost; it is said once, and well again by itself",
		[]string{"tests/faults.TestDisksFailWhilePodlanedRuns", "tests/faults.TestDisksFailBeforePodlanedStarts", "tests/faults.TestClock"},
	},
	{
		"the firewall is reloaded, or iptables' FORWARD policy becomes DROP",
		"the pods talk again within 1 s",
		[]string{"tests/faults.TestFirewall"},
	},
	{
		"VXLAN comes from a host that is not a peer, or from a pod; a pod uses an address that is not its node's",
		"it is dropped, and counted",
		[]string{"tests/intruders.TestIntruders", "tests/intruders.TestPeerThatLeavesIsAStranger", "tests/intruders.TestPodsAndOtherNodesOnTheUnderlay"},
	},
}
