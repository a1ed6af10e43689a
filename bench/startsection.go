package main

import "fmt"

// startSection returns the table and the curves of the starts.
func startSection(all []starts, g growth) Section {
	s := Section{
		Title: "A node starts beside many others",
		Text: "Each round runs these in turn. First, podlaned on a node on which it never ran, from before its exec until it " +
			"has verified that the kernel carries every peer (READY=1 of sd_notify). This includes process start, etcd's " +
			"list, its own lease, device, firewall, entries and node file. Second, podlane's backend alone in a running " +
			"process, with the device and the verification. Third, the same entries as raw netlink requests, as many in one " +
			"sendmsg as fit, and nothing else. Fourth, the same entries with `ip -batch` and `bridge -batch`, with one " +
			"metric for all routes, as flannel writes them. CPU time is that of podlaned's whole process, of the thread " +
			"that sends the raw requests, and of the processes of ip and bridge. The peak is VmHWM of /proc/PID/status, of " +
			"podlaned and of the larger one of ip and bridge. Raw requests have no process of their own. The number of " +
			"system calls on NETLINK_ROUTE and NETLINK_NETFILTER sockets is from strace(1) in one more run of each. For " +
			"podlaned it includes its child processes and the verification. At the end of that run ip and bridge answer one " +
			"request each, and their memory is read.",
		Plots: startPlots(all),
	}
	for _, m := range all {
		s.Rows = append(s.Rows, m.rows()...)
	}
	s.Rows = append(s.Rows, g.row())
	return s
}

// rows returns the rows of one number of peers. Limits apply to 5,000.
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

// startPlots returns the curves over the numbers of peers: time, CPU time and memory.
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

// thousands formats a number with commas.
func thousands(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", thousands(n/1000), n%1000)
}
