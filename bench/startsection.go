package main

import "fmt"

// startSection is the table and the curves of the starts.
func startSection(all []starts) Section {
	s := Section{
		Title: "A node starts beside many others",
		Text: "Each round, in turn: podlaned on a node that it was never on, from before its exec until it has read back that its kernel carries every peer (READY=1 of sd_notify): process start, etcd's list, " +
			"its own lease, device, firewall, entries, and node file included; podlane's backend alone in a running process, with the device and the reading back; the same entries as raw netlink requests, as " +
			"many a sendmsg as fit, and nothing else; the same entries by `ip -batch` and `bridge -batch` with one metric for all routes, as flannel writes them.",
	}
	times := Plot{Name: "start", Title: "From exec until verified", X: "peers", Y: "seconds"}
	curves := [4]Curve{{Name: "podlaned, exec until verified"}, {Name: "podlane's backend alone"}, {Name: "raw netlink"}, {Name: "ip -batch + bridge -batch"}}
	for _, m := range all {
		what := thousands(m.peers) + " peers: "
		whole := Row{What: what + "podlaned, exec until verified", Figure: m.daemon.text(seconds), Against: "ip + bridge -batch " + m.tools.text(seconds), Ratio: ratio(m.daemon, m.tools)}
		alone := Row{What: what + "the backend alone", Figure: m.apply.text(seconds), Against: "raw netlink " + m.raw.text(seconds), Ratio: ratio(m.apply, m.raw)}
		cpu := Row{What: what + "CPU time of podlaned", Figure: m.cpu.text(seconds)}
		peak := Row{What: what + "its peak memory", Figure: m.peak.text(mib)}
		calls := Row{What: what + "its netlink system calls", Figure: fmt.Sprintf("%d, %.0f per 1,000 peers", m.calls, float64(m.calls)*1000/float64(m.peers))}
		if m.peers == 5000 {
			whole = within(whole, whole.Ratio, 1, "at most 1")
			alone = within(alone, alone.Ratio, 2, "at most 2")
			cpu = within(cpu, m.cpu.median(), 0.35, "under 0.35 s")
			peak = within(peak, m.peak.median(), 45<<20, "under 45 MiB")
			calls = within(calls, m.calls*1000/m.peers, 100, "under 100 per 1,000")
		}
		s.Rows = append(s.Rows, whole, alone, cpu, peak, calls, Row{What: what + "lines of log", Figure: fmt.Sprint(m.lines)})
		for i, v := range []series{m.daemon, m.apply, m.raw, m.tools} {
			curves[i].add(float64(m.peers), v.median())
		}
	}
	if growth, ok := growth(all); ok {
		s.Rows = append(s.Rows, within(Row{What: "20,000 peers beside four times 5,000", Ratio: growth}, growth, 1.3, "at most 1.3"))
	}
	times.Curves = curves[:]
	s.Plots = []Plot{times}
	return s
}

// growth is how much longer 20,000 peers take than four times as long as 5,000.
func growth(all []starts) (float64, bool) {
	at := map[int]float64{}
	for _, m := range all {
		at[m.peers] = m.daemon.median()
	}
	return at[20_000] / (4 * at[5000]), at[20_000] > 0 && at[5000] > 0
}

// thousands is a number with its commas.
func thousands(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", thousands(n/1000), n%1000)
}
