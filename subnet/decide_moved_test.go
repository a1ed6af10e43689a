package subnet

import (
	"strings"
	"testing"
)

// A live holder answered that it has another address now. Its lease's address no longer counts. Its other marks count
// like those of any live holder.
func TestHolderThatHasLeftItsAddress(t *testing.T) {
	n := dualStack(t)
	for marks, warned := range map[string]string{
		"a":   "",
		"ia":  "has the node id of this node, n1 (id id-1), and is alive at another address: it is left alone",
		"an":  "has the node name of this node",
		"ian": "has the node id and node name of this node",
	} {
		r := marked(marks)
		for _, claim := range []Claim{
			{Revision: 20, Moved: []Pair{r.Pair()}},
			{Revision: 20, Expired: true, Moved: []Pair{r.Pair()}},
		} {
			d, err := Decide(n, me, Set{Records: []Record{r}}, claim)
			if err != nil || d.Verdict != Create || d.Pair.Overlaps(r.Pair()) {
				t.Errorf("%q: %+v, %v; want a fresh pod subnet", marks, d, err)
			}
			if (d.Warning == "") != (warned == "") || !strings.Contains(d.Warning, warned) {
				t.Errorf("%q: warning %q, want %q", marks, d.Warning, warned)
			}
		}
	}
	// One holder has moved. Another has our address: it is alive, or has not answered yet.
	left, other := marked("a"), marked("a")
	other.IPv4.Subnet, other.IPv6.Subnet = prefix("10.5.8.0/24"), prefix("fd00:5:0:8::/64")
	moved := Claim{Revision: 20, Moved: []Pair{left.Pair()}}
	for _, c := range []struct {
		other Record
		want  Verdict
	}{{other, Ask}, {alive(other), Refuse}} {
		if d, err := Decide(n, me, Set{Records: []Record{left, c.other}}, moved); err != nil || d.Verdict != c.want {
			t.Errorf("%+v, %v; want verdict %d", d, err, c.want)
		}
	}
}
