package seccomp

const (
	nativeArch = 0xc00000b7 // AUDIT_ARCH_AARCH64
	// foreignBit marks calls of another ABI with the same architecture; there
	// is none.
	foreignBit = 0
)

const (
	archCalls   = ` renameat `
	archRefused = ``
)
