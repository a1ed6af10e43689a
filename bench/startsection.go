package main

import "fmt"

// startSection is the table and the curves of the starts.
func startSection(all []starts, g growth) Section {
	s := Section{
		Title: "A node starts beside many others",
		Text: "Each round, in turn: podlaned on a node that it was never on, from before its exec until it has read back that its kernel carries every peer (READY=1 of sd_notify): process start, etcd's list, " +
			"its own lease, device, firewall, entries, and node file included; podlane's backend alone in a running process, with the device and the reading back; the same entries as raw netlink requests, as " +
			"many a sendmsg as fit, and nothing else; the same entries by `ip -batch` and `bridge -batch` with one metric for all routes, as flannel writes them. CPU time is, beside podlaned's whole process, that " +
			"of the thread that sends the raw requests, and that of the processes of ip and bridge. The peak is VmHWM of /proc/PID/status, beside that of ip or bridge, whichever has more; raw requests have no process of their own. System calls on sockets of NETLINK_ROUTE and " +
			"NETLINK_NETFILTER are what strace(1) sees in one further run of each: of podlaned and what it runs, reading back included, and of the writing, at whose end ip and bridge are asked one thing each; the tools' memory is that of this run.",
		Plots: startPlots(all),
	}
	for _, m := range all {
		s.Rows = append(s.Rows, m.rows()...)
	}
	s.Rows = append(s.Rows, g.row())
	return s
}

// rows are those of one number of peers; 5,000 is the one for which something is promised.
func (m starts) rows() []Row {
	what := thousands(m.peers) + " peers: "
	perThousand := float64(m.calls) * 1000 / float64(m.peers)
	whole := Row{What: what + "podlaned, exec until verified", Figure: m.daemon.text(seconds), Against: "ip + bridge -batch " + m.tools.text(seconds), Ratio: ratio(m.daemon, m.tools)}
	alone := Row{What: what + "the backend alone", Figure: m.apply.text(seconds), Against: "raw netlink " + m.raw.text(seconds), Ratio: ratio(m.apply, m.raw)}
	cpu := Row{What: what + "CPU time of podlaned", Figure: m.cpu.text(seconds), Against: "ip + bridge -batch " + m.toolsCPU.text(seconds), Ratio: ratio(m.cpu, m.toolsCPU)}
	cpuRaw := Row{What: cpu.What, Figure: cpu.Figure, Against: "raw netlink " + m.rawCPU.text(seconds), Ratio: ratio(m.cpu, m.rawCPU)}
	peak := Row{What: what + "its peak memory", Figure: m.peak.text(mib), Against: "ip or bridge -batch " + mib(m.toolsPeak), Ratio: m.peak.median() / m.toolsPeak}
	calls := Row{What: what + "its netlink system calls", Figure: fmt.Sprintf("%d, %.1f per 1,000 peers", m.calls, perThousand), Against: fmt.Sprintf("ip + bridge -batch %d", m.toolCalls), Ratio: float64(m.calls) / float64(m.toolCalls)}
	callsRaw := Row{What: calls.What, Figure: calls.Figure, Against: fmt.Sprintf("raw netlink %d", m.rawCalls), Ratio: float64(m.calls) / float64(m.rawCalls)}
	if m.peers == 5000 {
		whole = within(whole, whole.Ratio, 1, "at most 1")
		alone = within(alone, alone.Ratio, 2, "at most 2")
		cpu = within(cpu, m.cpu.median(), 0.35, "under 0.35 s")
		peak = within(peak, m.peak.median(), 45e6, "under 45 MB, 42.9 MiB")
		calls = within(calls, perThousand, 100, "under 100 per 1,000")
	}
	return []Row{whole, alone, cpu, cpuRaw, peak, calls, callsRaw, {What: what + "lines of log", Figure: fmt.Sprint(m.lines)}}
}

// startPlots are the curves over the numbers of peers: time, CPU time and memory.
func startPlots(all []starts) []Plot {
	type curve struct {
		name string
		of   func(starts) float64
	}
	plot := func(name, title, y string, curves ...curve) Plot {
		p := Plot{Name: name, Title: title, X: "peers", Y: y}
		for _, c := range curves {
			drawn := Curve{Name: c.name}
			for _, m := range all {
				drawn.add(float64(m.peers), c.of(m))
			}
			p.Curves = append(p.Curves, drawn)
		}
		return p
	}
	return []Plot{
		plot("start", "From exec until verified", "seconds",
			curve{"podlaned, exec until verified", func(m starts) float64 { return m.daemon.median() }},
			curve{"podlane's backend alone", func(m starts) float64 { return m.apply.median() }},
			curve{"raw netlink", func(m starts) float64 { return m.raw.median() }},
			curve{"ip -batch + bridge -batch", func(m starts) float64 { return m.tools.median() }}),
		plot("start-cpu", "CPU time from exec until verified", "seconds",
			curve{"podlaned", func(m starts) float64 { return m.cpu.median() }},
			curve{"raw netlink", func(m starts) float64 { return m.rawCPU.median() }},
			curve{"ip -batch + bridge -batch", func(m starts) float64 { return m.toolsCPU.median() }}),
		plot("start-memory", "Peak memory from exec until verified", "MiB",
			curve{"podlaned", func(m starts) float64 { return m.peak.median() / (1 << 20) }},
			curve{"ip -batch or bridge -batch", func(m starts) float64 { return m.toolsPeak / (1 << 20) }}),
	}
}

// thousands is a number with its commas.
func thousands(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", thousands(n/1000), n%1000)
}
