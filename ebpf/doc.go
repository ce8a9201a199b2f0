// Package ebpf watches sandboxes from inside the kernel. It enforces nothing.
//
// A [Watcher] tells of system calls on files that fail in a sandbox: what was
// tried, on which path, and with which error. Whether a policy is the reason is
// for its user to say.
//
// It promises that only sandboxes given to [Watcher.Track] are told of, by an
// identity that a process cannot shed; that what a sandbox can make it emit is
// bounded, and what is left out is counted; and that [Watcher.Sync] returns only
// when all that happened before it was told. Paths are what the process asked
// for, read when the call had ended: a program can change them meanwhile, so an
// [Event] is a hint for people and no proof.
//
// # Back-ends
//
//	tp_btf/sys_exit   Linux 5.17 or newer with BTF; loads under lockdown
package ebpf

//go:generate go run github.com/cilium/ebpf/cmd/bpf2go -target amd64,arm64 -tags linux -cc clang -cflags "-O2 -mcpu=v3 -Wall -Werror" refusals bpf/refusals.bpf.c
