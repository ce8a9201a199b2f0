package seccomp

import "fmt"

// highest is a number above all that kernels have.
const highest = 1023

// verify compares what a program answers with what the rules say: for every
// number, for arguments at and around each condition, and for other ABIs.
func verify(p Program, rules map[string]rule) error {
	byNumber := map[uint32]rule{}
	for name, r := range rules {
		n, err := number(name)
		if err != nil {
			return err
		}
		byNumber[n] = r
	}
	for n := range uint32(highest + 1) {
		r, known := byNumber[n]
		if !known {
			r = rule{rest: ENOSYS}
		}
		for _, args := range r.probes() {
			if err := p.expect(Call{Arch: nativeArch, Number: n, Args: args}, r.answer(args)); err != nil {
				return err
			}
		}
		if foreignBit != 0 {
			if err := p.expect(Call{Arch: nativeArch, Number: n | foreignBit}, KillProcess); err != nil {
				return err
			}
		}
		if err := p.expect(Call{Arch: nativeArch ^ 0x80000000, Number: n}, KillProcess); err != nil {
			return err
		}
	}
	return nil
}

func (p Program) expect(c Call, want Answer) error {
	got, _, err := p.Run(c)
	if err != nil {
		return err
	}
	if got != want {
		return fmt.Errorf("libseccomp answers %v to call %d with %#x, want %v", got, c.Number, c.Args, want)
	}
	return nil
}

// probes returns arguments that show every gate: open, and failing in each of
// its conditions, with and without junk in the high halves.
func (r rule) probes() [][6]uint64 {
	low := [][6]uint64{{}, {all32, all32, all32, all32, all32, all32}}
	for _, g := range r.gates {
		var open [6]uint64
		for _, m := range g.when {
			open[m.arg] = uint64(m.value)
		}
		low = append(low, open)
		for _, m := range g.when {
			for bit := uint32(1); bit != 0; bit <<= 1 {
				near := open
				near[m.arg] ^= uint64(bit)
				low = append(low, near)
			}
		}
	}
	all := low
	for _, args := range low {
		for i := range args {
			args[i] |= 0xdeadbeef << 32
		}
		all = append(all, args)
	}
	return all
}
