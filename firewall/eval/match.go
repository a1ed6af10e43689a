package eval

// match is how a condition matches the packets of a description.
type match int

const (
	never match = iota
	always
	some        // for some of them: it depends on what the description does not fix, such as a port or a mark
	unsupported // the condition cannot be evaluated
)

// matchIf returns the match of a condition that is decided.
func matchIf(holds bool) match {
	if holds {
		return always
	}
	return never
}

// and combines two conditions.
func (m match) and(o match) match {
	switch {
	case m == never || o == never:
		return never
	case m == always:
		return o
	case o == always:
		return m
	}
	return max(m, o)
}

func (m match) not() match {
	switch m {
	case never:
		return always
	case always:
		return never
	}
	return m
}
