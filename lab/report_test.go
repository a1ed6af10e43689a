package lab

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// sample returns the table of so many pods, each on its own node.
func sample(pods int) Table {
	var t Table
	for i := 1; i <= pods; i++ {
		t.Pods = append(t.Pods, Member{fmt.Sprintf("p%d", i), fmt.Sprintf("n%d", i), netip.AddrFrom4([4]byte{10, 5, byte(i), 2})})
	}
	for _, from := range t.Pods {
		for _, to := range t.Pods {
			if from != to {
				t.Checks = append(t.Checks, Check{Kind: PodToPod, From: from.Name, To: to.Name, RTT: 41 * time.Microsecond})
			}
		}
		t.Checks = append(t.Checks, Check{Kind: PodToOutside, From: from.Name, To: "outside", Saw: netip.MustParseAddr("198.18.1.1")})
	}
	t.From, t.To = [2]string{"p1", "n1"}, [2]string{"p2", "n2"}
	t.Rate, t.RoundTrip = Compare{9.4e9, 18.8e9}, Compare{40e-6, 20e-6}
	return t
}

func TestTableOfTwoPods(t *testing.T) {
	table := sample(2)
	table.Checks[0].Err = errors.New("ping 10.5.2.2: no answer")
	var out strings.Builder
	table.Write(&out, Style{})
	const want = `Every pod pings every other: round trip in ms, best of 3

  from                      to     p1     p2
  p1    n1    10.5.1.2              -   FAIL
  p2    n2    10.5.2.2          0.041      -

Checks

  FAILED  pod to pod                       1 of 2     0.041 to 0.041 ms
  ok      pod to outside, masqueraded      2 of 2     outside sees the node

p1 (n1) to p2 (n2)                pod to pod  node to node   ratio

  TCP                            9.40 Gbit/s  18.80 Gbit/s    0.50
  round trip, mean                  0.040 ms      0.020 ms    2.00

Failed checks

  p1 to p2: ping 10.5.2.2: no answer
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
	if table.OK() || len(table.Failed()) != 1 {
		t.Error("OK and Failed miss a failed check")
	}
}

func TestTableFitsTheTerminal(t *testing.T) {
	for _, pods := range []int{1, 2, 3, 7, 8, 20, 60} {
		for _, width := range []int{0, 80, 100} {
			var out strings.Builder
			table := sample(pods)
			table.Write(&out, Style{Width: width})
			for line := range strings.Lines(out.String()) {
				if len(line)-1 > max(width, 80) {
					t.Errorf("%d pods, width %d: a line of %d columns: %s", pods, width, len(line)-1, line)
				}
			}
			if !table.OK() {
				t.Errorf("%d pods: not OK", pods)
			}
		}
	}
}

func TestColourOnlyIfAskedFor(t *testing.T) {
	var plain, coloured strings.Builder
	sample(2).Write(&plain, Style{})
	sample(2).Write(&coloured, Style{Colour: true})
	if strings.Contains(plain.String(), "\x1b") || !strings.Contains(coloured.String(), "\x1b[32mok") {
		t.Errorf("plain %q\ncoloured %q", plain.String(), coloured.String())
	}
}
