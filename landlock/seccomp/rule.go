package seccomp

import (
	"fmt"
	"strings"
)

// match is a condition on one argument: its low 32 bits under mask are value.
type match struct {
	arg         uint
	mask, value uint32
}

// gate answers the calls that meet all its conditions.
type gate struct {
	when []match
	then Answer
}

// rule is the answer to one system call. The first gate that fits decides, else
// rest does.
type rule struct {
	gates []gate
	rest  Answer
}

const all32 = 0xffffffff

// is matches an argument that is a 32-bit number.
func is(arg uint, value uint32) match { return match{arg, all32, value} }

// oneOf gives the same answer to each value of an argument.
func oneOf(arg uint, then Answer, values ...uint32) []gate {
	gates := make([]gate, len(values))
	for i, v := range values {
		gates[i] = gate{[]match{is(arg, v)}, then}
	}
	return gates
}

// anyBit gives the same answer to each argument that has one of the bits.
func anyBit(arg uint, then Answer, bits ...uint32) []gate {
	gates := make([]gate, len(bits))
	for i, b := range bits {
		gates[i] = gate{[]match{{arg, b, b}}, then}
	}
	return gates
}

func (r rule) answer(args [6]uint64) Answer {
	for _, g := range r.gates {
		if g.fits(args) {
			return g.then
		}
	}
	return r.rest
}

func (g gate) fits(args [6]uint64) bool {
	for _, m := range g.when {
		if uint32(args[m.arg])&m.mask != m.value {
			return false
		}
	}
	return true
}

func (r rule) String() string {
	var b strings.Builder
	for _, g := range r.gates {
		conditions := make([]string, len(g.when))
		for i, m := range g.when {
			if conditions[i] = fmt.Sprintf("arg%d=%#x", m.arg, m.value); m.mask != all32 {
				conditions[i] = fmt.Sprintf("arg%d&%#x=%#x", m.arg, m.mask, m.value)
			}
		}
		fmt.Fprintf(&b, "%v if %s; ", g.then, strings.Join(conditions, " "))
	}
	if b.Len() > 0 {
		b.WriteString("else ")
	}
	b.WriteString(r.rest.String())
	return b.String()
}
