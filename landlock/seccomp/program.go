package seccomp

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrProgram means that bytes are no program that [Program.Run] understands.
var ErrProgram = errors.New("not a seccomp program")

// Program is a compiled filter: instructions of 8 bytes each, in the byte order
// of the machine, as the kernel takes them.
type Program []byte

const (
	instructionSize = 8
	maxInstructions = 4096 // BPF_MAXINSNS
	dataSize        = 64   // struct seccomp_data
)

// Opcodes of classic BPF that libseccomp writes.
const (
	opLoad   = 0x20 // ld [k]
	opAnd    = 0x54 // and #k
	opJump   = 0x05
	opJumpEq = 0x15
	opJumpGt = 0x25
	opJumpGe = 0x35
	opReturn = 0x06
)

// Run interprets the program. It also tells which arguments it looked at, as
// bits: a call for which it looked at none has one answer for all arguments.
func (p Program) Run(c Call) (Answer, uint8, error) {
	if len(p) == 0 || len(p)%instructionSize != 0 || len(p) > maxInstructions*instructionSize {
		return 0, 0, fmt.Errorf("%w: %d bytes", ErrProgram, len(p))
	}
	data := c.encode()
	var acc uint32
	var seen uint8
	for pc := 0; pc < len(p)/instructionSize; pc++ {
		in := p[pc*instructionSize:]
		op, yes, no, k := binary.NativeEndian.Uint16(in), int(in[2]), int(in[3]), binary.NativeEndian.Uint32(in[4:])
		jump := func(taken bool) {
			if pc += no; taken {
				pc += yes - no
			}
		}
		switch op {
		case opLoad:
			if k%4 != 0 || k > dataSize-4 {
				return 0, 0, fmt.Errorf("%w: load at %d", ErrProgram, k)
			}
			acc = binary.NativeEndian.Uint32(data[k:])
			if k >= 16 {
				seen |= 1 << ((k - 16) / 8)
			}
		case opAnd:
			acc &= k
		case opJump:
			pc += int(k)
		case opJumpEq:
			jump(acc == k)
		case opJumpGt:
			jump(acc > k)
		case opJumpGe:
			jump(acc >= k)
		case opReturn:
			return Answer(k), seen, nil
		default:
			return 0, 0, fmt.Errorf("%w: opcode %#x", ErrProgram, op)
		}
	}
	return 0, 0, fmt.Errorf("%w: it has no end", ErrProgram)
}

// encode lays c out as struct seccomp_data.
func (c Call) encode() [dataSize]byte {
	var data [dataSize]byte
	binary.NativeEndian.PutUint32(data[0:], c.Number)
	binary.NativeEndian.PutUint32(data[4:], c.Arch)
	binary.NativeEndian.PutUint64(data[8:], c.IP)
	for i, arg := range c.Args {
		binary.NativeEndian.PutUint64(data[16+8*i:], arg)
	}
	return data
}
