package main

import "github.com/podlane/podlane/problems"

// outage follows the problems of the watches, for the parts that write to the API server. The zero outage is ready to use.
type outage struct{ nodes, own bool }

// over reports whether a watch has recovered since the last call. Then a failed write is due at once. Otherwise it would wait
// for up to maxRetry. Meanwhile the node would not be announced, or would keep its taint.
func (o *outage) over(p *problems.Log) bool {
	previous := *o
	*o = outage{p.Get(watchingNodes) != "", p.Get(apiServer) != ""}
	return previous.nodes && !o.nodes || previous.own && !o.own
}

// unlessKnown returns the error of a write, or nil if a watch already reports that the API server is unreachable. So an outage is
// one fault, and not one for each object that cannot be written.
func unlessKnown(p *problems.Log, err error) error {
	if err != nil && isUnreachable(err) && (p.Get(watchingNodes) != "" || p.Get(apiServer) != "") {
		return nil
	}
	return err
}
