package seccomp

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	libseccomp "github.com/seccomp/libseccomp-golang"
	"pgregory.net/rapid"
)

var update = flag.Bool("update", false, "write the golden tables anew")

var sets = map[string][]string{
	"core":       {Core},
	"core-debug": {Core, Debug},
}

func mustCompile(t testing.TB, groups ...string) Program {
	t.Helper()
	p, err := Compile(groups...)
	if err != nil {
		t.Fatalf("Compile(%q): %v", groups, err)
	}
	return p
}

// TestGolden holds a table of every number for each set of groups. It comes
// from interpreting the program, not from the rules.
func TestGolden(t *testing.T) {
	for name, groups := range sets {
		t.Run(name, func(t *testing.T) {
			got := table(t, mustCompile(t, groups...), groups)
			file := filepath.Join("testdata", name+"."+runtime.GOARCH+".txt")
			if *update {
				if err := os.WriteFile(file, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("the program differs from %s; if that is meant, run the test with -update\n%s", file, firstDifference(got, want))
			}
		})
	}
}

func table(t *testing.T, p Program, groups []string) []byte {
	rules, err := rules(groups)
	if err != nil {
		t.Fatal(err)
	}
	names := map[uint32]string{}
	for name := range rules {
		n, err := number(name)
		if err != nil {
			t.Fatal(err)
		}
		names[n] = name
	}
	var b bytes.Buffer
	for n := range uint32(601) {
		answer, args, err := p.Run(Call{Arch: nativeArch, Number: n})
		if err != nil {
			t.Fatalf("Run(%d): %v", n, err)
		}
		name := names[n]
		if name == "" {
			name = "-"
			// What every libseccomp 2.5 knows.
			if known, err := libseccomp.ScmpSyscall(n).GetName(); err == nil && n <= 450 {
				name = "(" + known + ")"
			}
		}
		verdict := answer.String()
		if args != 0 {
			verdict = names[n] + "(...) " + rules[names[n]].String()
			name = ""
		}
		b.WriteString(strings.TrimRight(fmt.Sprintf("%3d %s %s", n, name, verdict), " ") + "\n")
	}
	return b.Bytes()
}

func firstDifference(got, want []byte) string {
	g, w := strings.Split(string(got), "\n"), strings.Split(string(want), "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			return fmt.Sprintf("got  %s\nwant %s", g[i], w[i])
		}
	}
	return "one is longer"
}

func TestProgramAnswersAsTheRulesForAnyCall(t *testing.T) {
	for name, groups := range sets {
		p := mustCompile(t, groups...)
		all, err := rules(groups)
		if err != nil {
			t.Fatal(err)
		}
		byNumber := map[uint32]rule{}
		var hot []uint32
		for name, r := range all {
			n, _ := number(name)
			byNumber[n] = r
			if len(r.gates) > 0 {
				hot = append(hot, n)
			}
		}
		t.Run(name, rapid.MakeCheck(func(t *rapid.T) {
			n := rapid.OneOf(rapid.Uint32Range(0, 700), rapid.SampledFrom(hot), rapid.Uint32()).Draw(t, "number")
			c := Call{Arch: nativeArch, Number: n, IP: rapid.Uint64().Draw(t, "ip")}
			for i := range c.Args {
				c.Args[i] = rapid.OneOf(
					rapid.Uint64Range(0, 70), rapid.Uint64(),
					rapid.Map(rapid.IntRange(0, 63), func(bit int) uint64 { return 1 << bit }),
				).Draw(t, "arg")
			}
			want := ENOSYS
			if r, ok := byNumber[n]; ok {
				want = r.answer(c.Args)
			}
			// libseccomp leaves -1 alone, with which tracers skip a call.
			if foreignBit != 0 && n >= foreignBit && n != all32 {
				want = KillProcess
			}
			got, _, err := p.Run(c)
			if err != nil || got != want {
				t.Fatalf("Run(%+v) = %v, %v; want %v", c, got, err, want)
			}
		}))
	}
}

func TestAnswers(t *testing.T) {
	const i386 = 0x40000003
	call := func(name string, args ...uint64) Call {
		n, err := libseccomp.GetSyscallFromName(name)
		if err != nil || n < 0 {
			t.Fatalf("number of %s: %v", name, err)
		}
		c := Call{Arch: nativeArch, Number: uint32(n)}
		copy(c.Args[:], args)
		return c
	}
	for name, tt := range map[string]struct {
		call        Call
		core, debug Answer
	}{
		"reading is allowed":                {call("read"), Allow, Allow},
		"mounting is refused":               {call("mount"), EPERM, EPERM},
		"bpf is refused":                    {call("bpf"), EPERM, EPERM},
		"keyrings are refused":              {call("keyctl"), EPERM, EPERM},
		"clone3 does not exist":             {call("clone3"), ENOSYS, ENOSYS},
		"io_uring does not exist":           {call("io_uring_setup"), ENOSYS, ENOSYS},
		"the new mount API does not exist":  {call("fsopen"), ENOSYS, ENOSYS},
		"statmount does not exist":          {Call{Arch: nativeArch, Number: 457}, ENOSYS, ENOSYS},
		"open_tree_attr does not exist":     {Call{Arch: nativeArch, Number: 467}, ENOSYS, ENOSYS},
		"a number to come does not exist":   {Call{Arch: nativeArch, Number: 599}, ENOSYS, ENOSYS},
		"i386 is killed":                    {Call{Arch: i386, Number: 3}, KillProcess, KillProcess},
		"x32 is killed":                     {Call{Arch: nativeArch, Number: 0x40000000}, KillProcess, KillProcess},
		"ptrace needs debug":                {call("ptrace"), EPERM, Allow},
		"TIOCSTI":                           {call("ioctl", 0, 0x5412), EPERM, EPERM},
		"TIOCSTI with junk above":           {call("ioctl", 0, 0x1_0000_5412), EPERM, EPERM},
		"TIOCSTI with all junk":             {call("ioctl", ^uint64(0), 0xffff_ffff_0000_5412, 1, 1, 1, 1), EPERM, EPERM},
		"TIOCLINUX":                         {call("ioctl", 0, 0x541c), EPERM, EPERM},
		"TCGETS":                            {call("ioctl", 0, 0x5401), Allow, Allow},
		"fork":                              {call("clone", 0x1200011), Allow, Allow},
		"a thread":                          {call("clone", 0x3d0f00), Allow, Allow},
		"a user namespace by clone":         {call("clone", 0x10000011), EPERM, EPERM},
		"a network namespace by clone":      {call("clone", 0x40000011), EPERM, EPERM},
		"a mount namespace by unshare":      {call("unshare", 0x20000), EPERM, EPERM},
		"a time namespace by unshare":       {call("unshare", 0x80), EPERM, EPERM},
		"own file table by unshare":         {call("unshare", 0x400), Allow, Allow},
		"unix sockets":                      {call("socket", 1, 5, 77), Allow, Allow},
		"TCP":                               {call("socket", 2, 0x80801, 6), Allow, Allow},
		"UDP over inet6":                    {call("socket", 10, 2, 0), Allow, Allow},
		"ping sockets":                      {call("socket", 2, 2, 1), Allow, Allow},
		"raw sockets":                       {call("socket", 2, 3, 255), EPERM, EPERM},
		"SCTP":                              {call("socket", 2, 1, 132), EPERM, EPERM},
		"MPTCP":                             {call("socket", 2, 1, 262), EPERM, EPERM},
		"route netlink":                     {call("socket", 16, 3, 0), Ask, Ask},
		"audit netlink":                     {call("socket", 16, 3, 9), EPERM, EPERM},
		"netfilter netlink":                 {call("socket", 16, 3, 12), EPERM, EPERM},
		"AF_ALG":                            {call("socket", 38, 5, 0), EPERM, EPERM},
		"AF_PACKET":                         {call("socket", 17, 3, 0), EPERM, EPERM},
		"AF_VSOCK":                          {call("socket", 40, 1, 0), EPERM, EPERM},
		"unix socket pairs":                 {call("socketpair", 1, 1), Allow, Allow},
		"other socket pairs":                {call("socketpair", 30, 1), EPERM, EPERM},
		"asking for the personality":        {call("personality", 0xffffffff), Allow, Allow},
		"personality without randomization": {call("personality", 0x40000), EPERM, Allow},
		"personality with exec by read":     {call("personality", 0x400000), EPERM, EPERM},
		"naming a thread":                   {call("prctl", 15), Allow, Allow},
		"PR_SET_MM":                         {call("prctl", 35), EPERM, EPERM},
		"native AIO does not exist":         {call("io_setup"), ENOSYS, ENOSYS},
		"a sync of all file systems":        {call("sync"), EPERM, EPERM},
		"a sync of the file system of /usr": {call("syncfs"), EPERM, EPERM},
		"a sync of a file":                  {call("fsync"), Allow, Allow},
		"a filter on a socket":              {call("setsockopt", 3, 1, 26), EPERM, EPERM},
		"an eBPF filter on a socket":        {call("setsockopt", 3, 1, 50), EPERM, EPERM},
		"a filter on a group of sockets":    {call("setsockopt", 3, 1, 51), EPERM, EPERM},
		"an eBPF filter on a group":         {call("setsockopt", 3, 1, 52), EPERM, EPERM},
		"a filter with junk above":          {call("setsockopt", 3, 0x1_0000_0001, 0x1_0000_001a), EPERM, EPERM},
		"a protocol above TCP":              {call("setsockopt", 3, 6, 31), EPERM, EPERM},
		"keys for TCP":                      {call("setsockopt", 3, 6, 14), EPERM, EPERM},
		"more keys for TCP":                 {call("setsockopt", 3, 6, 38), EPERM, EPERM},
		"a group of IPv6":                   {call("setsockopt", 3, 41, 20), EPERM, EPERM},
		"a group of IPv4":                   {call("setsockopt", 3, 0, 35), Allow, Allow},
		"reusing an address":                {call("setsockopt", 3, 1, 2), Allow, Allow},
		"the same number on another level":  {call("setsockopt", 3, 41, 26), Allow, Allow},
		"a seccomp filter":                  {call("seccomp", 1, 0), EPERM, EPERM},
		"the same by prctl":                 {call("prctl", 22, 2), EPERM, EPERM},
		"asking for actions":                {call("seccomp", 2, 0), Allow, Allow},
		"FIFOs":                             {call("mknod", 0, 0o010644), Allow, Allow},
		"character devices":                 {call("mknod", 0, 0o020644), EPERM, EPERM},
		"block devices":                     {call("mknodat", 0, 0, 0o060644), EPERM, EPERM},
	} {
		t.Run(name, func(t *testing.T) {
			for want, p := range map[*Answer]Program{&tt.core: mustCompile(t, Core), &tt.debug: mustCompile(t, Core, Debug)} {
				if got, _, err := p.Run(tt.call); err != nil || got != *want {
					t.Errorf("Run(%+v) = %v, %v; want %v", tt.call, got, err, *want)
				}
			}
		})
	}
}

func TestCompile(t *testing.T) {
	if p := mustCompile(t); !bytes.Equal(p, mustCompile(t, Core)) {
		t.Error("Compile() and Compile(core) differ")
	}
	if !bytes.Equal(mustCompile(t, Core, Debug), mustCompile(t, Debug, Core, Debug)) {
		t.Error("the order of groups matters")
	}
	if _, err := Compile("cor"); !errors.Is(err, ErrGroup) {
		t.Errorf("Compile(cor) = %v, want ErrGroup", err)
	}
	if _, err := compile(map[string]rule{"no_such_call": {rest: Allow}}); !errors.Is(err, libseccomp.ErrSyscallDoesNotExist) {
		t.Errorf("a rule for an unknown call = %v, want ErrSyscallDoesNotExist", err)
	}
	if _, err := compile(map[string]rule{"socketcall": {rest: Allow}}); err == nil {
		t.Error("a rule for another architecture's call was taken")
	}
	wrong := map[string]rule{"read": {rest: EPERM}}
	if err := verify(mustCompile(t), wrong); err == nil {
		t.Error("verify found nothing in a program for other rules")
	}
}

// FuzzRun feeds bytes that no compiler wrote.
func FuzzRun(f *testing.F) {
	f.Add([]byte(mustCompile(f, Core)), uint32(1))
	f.Add([]byte{}, uint32(0))
	f.Fuzz(func(t *testing.T, program []byte, n uint32) {
		if _, _, err := Program(program).Run(Call{Arch: nativeArch, Number: n}); err != nil && !errors.Is(err, ErrProgram) {
			t.Errorf("Run: %v, want ErrProgram", err)
		}
	})
}

func BenchmarkCompile(b *testing.B) {
	for b.Loop() {
		if _, err := Compile(Core, Debug); err != nil {
			b.Fatal(err)
		}
	}
}
