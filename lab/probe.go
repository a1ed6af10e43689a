package lab

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// probeTimeout bounds one request to another place.
const probeTimeout = 3 * time.Second

// pingResult is ping's last line: rtt min/avg/max/mdev = 0.031/0.045/0.070/0.011 ms.
var pingResult = regexp.MustCompile(`(?m)^rtt min/avg/max/mdev = ([0-9.]+)/([0-9.]+)/`)

// pinged is the result of some pings.
type pinged struct{ best, mean time.Duration }

// Ping sends count packets from the place and returns the shortest round trip. A lost packet is an error.
func (p *Place) Ping(ctx context.Context, to netip.Addr, count int) (time.Duration, error) {
	r, err := p.ping(ctx, to, count, 2*time.Millisecond)
	return r.best, err
}

// ping sends packets until count of them are answered, and expects answers to the first count. Without -w, ping(8) of iputils waits for
// the last answers twice as long as for the slowest before. On a busy machine they may take longer, and it counts them as lost.
func (p *Place) ping(ctx context.Context, to netip.Addr, count int, interval time.Duration) (pinged, error) {
	atMost := []string{"-W", "1"} // how long it waits if nothing is answered
	if count > 1 {
		atMost = []string{"-w", fmt.Sprintf("%.0f", math.Ceil(1+float64(count)*interval.Seconds()))}
	}
	args := append([]string{"-n", "-c", strconv.Itoa(count), "-i", fmt.Sprintf("%.3f", interval.Seconds())}, atMost...)
	out, err := p.output(p.Command(ctx, "ping", append(args, to.String())...))
	if ctx.Err() != nil {
		return pinged{}, ctx.Err()
	}
	m := pingResult.FindStringSubmatch(out)
	if m == nil {
		return pinged{}, fmt.Errorf("ping %s: no answer%s", to, because(err, out))
	}
	if n := lost(out, count); n > 0 {
		return pinged{}, fmt.Errorf("ping %s: %d of the first %d packets were lost: %s", to, n, count, lossLine(out))
	}
	best, err1 := time.ParseDuration(m[1] + "ms")
	mean, err2 := time.ParseDuration(m[2] + "ms")
	return pinged{best, mean}, errors.Join(err1, err2)
}

// pingAnswer is ping's line for an answer: 64 bytes from 10.5.1.2: icmp_seq=1 ttl=64 time=0.032 ms.
var pingAnswer = regexp.MustCompile(`(?m) bytes from .* icmp_seq=([0-9]+) `)

// lost returns how many of the first count packets ping got no answer to.
func lost(out string, count int) int {
	answered := map[int]bool{}
	for _, m := range pingAnswer.FindAllStringSubmatch(out, -1) {
		if seq, err := strconv.Atoi(m[1]); err == nil && seq <= count {
			answered[seq] = true
		}
	}
	return count - len(answered)
}

// because returns ping's output if it is more than statistics.
func because(err error, out string) string {
	if err == nil || strings.Contains(out, "packets transmitted") {
		return ""
	}
	return ": " + strings.TrimSpace(out)
}

func lossLine(out string) string {
	for line := range strings.Lines(out) {
		if strings.Contains(line, "packets transmitted") {
			return strings.TrimSpace(line)
		}
	}
	return strings.TrimSpace(out)
}

// Mirror is a TCP server in a place. It sends each client the client's source address.
type Mirror struct {
	Addr     netip.AddrPort
	listener net.Listener
	done     chan struct{}
}

// NewMirror starts a Mirror on an address of the place, on a free port.
func (p *Place) NewMirror(ctx context.Context, a netip.Addr) (*Mirror, error) {
	m := &Mirror{done: make(chan struct{})}
	err := p.Do(func() (err error) {
		m.listener, err = new(net.ListenConfig).Listen(ctx, "tcp", netip.AddrPortFrom(a, 0).String())
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("listen in %s: %w", p.Name, err)
	}
	m.Addr = m.listener.Addr().(*net.TCPAddr).AddrPort()
	go m.serve()
	return m, nil
}

func (m *Mirror) serve() {
	defer close(m.done)
	for {
		c, err := m.listener.Accept()
		if err != nil {
			return
		}
		_ = c.SetDeadline(time.Now().Add(probeTimeout))
		_, _ = io.WriteString(c, c.RemoteAddr().String()) // the client notices an error
		_ = c.Close()
	}
}

// Close ends the server.
func (m *Mirror) Close() {
	_ = m.listener.Close()
	<-m.done
}

// SourceSeenBy returns the source address that a Mirror sees of this place.
func (p *Place) SourceSeenBy(ctx context.Context, m *Mirror) (netip.Addr, error) {
	var c net.Conn
	err := p.Do(func() (err error) {
		c, err = (&net.Dialer{Timeout: probeTimeout}).DialContext(ctx, "tcp", m.Addr.String())
		return err
	})
	if err != nil {
		return netip.Addr{}, fmt.Errorf("connect: %w", err)
	}
	defer func() { _ = c.Close() }()
	if err := c.SetDeadline(time.Now().Add(probeTimeout)); err != nil {
		return netip.Addr{}, err
	}
	text, err := io.ReadAll(c)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("ask for the source address: %w", err)
	}
	saw, err := netip.ParseAddrPort(string(text))
	return saw.Addr().Unmap(), err
}

// Throughput sends TCP from this place to an address of another with iperf3. It returns the received bits per second.
func (p *Place) Throughput(ctx context.Context, to *Place, a netip.Addr, lasting time.Duration) (float64, error) {
	ctx, cancel := context.WithTimeout(ctx, lasting+10*time.Second)
	defer cancel()
	stop, err := to.iperfServer(ctx, a)
	if err != nil {
		return 0, fmt.Errorf("iperf3 server in %s: %w", to.Name, err)
	}
	defer stop()
	out, runErr := p.output(p.Command(ctx, "iperf3", "--client", a.String(), "--json",
		"--time", fmt.Sprintf("%.0f", lasting.Seconds())))
	var result struct {
		Error string
		End   struct {
			SumReceived struct {
				Rate float64 `json:"bits_per_second"`
			} `json:"sum_received"`
		}
	}
	if err := json.Unmarshal([]byte(out), &result); err != nil {
		return 0, fmt.Errorf("iperf3 from %s to %s: %w", p.Name, to.Name, errors.Join(runErr, err))
	}
	if result.Error != "" {
		return 0, fmt.Errorf("iperf3 from %s to %s: %s", p.Name, to.Name, result.Error)
	}
	return result.End.SumReceived.Rate, nil
}

// iperfServer starts a server for one client and waits until it listens.
func (p *Place) iperfServer(ctx context.Context, a netip.Addr) (stop func(), err error) {
	ctx, cancel := context.WithCancel(ctx)
	cmd := p.Command(ctx, "iperf3", "--server", "--one-off", "--forceflush", "--bind", a.String())
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = p.StartCommand(cmd)
	}
	if err != nil {
		cancel()
		return nil, err
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if strings.Contains(lines.Text(), "listening") {
			break
		}
	}
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		_, _ = io.Copy(io.Discard, out)
	}()
	return func() {
		cancel()
		<-drained
		_ = cmd.Wait() // killed
	}, nil
}
