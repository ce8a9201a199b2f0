package handover

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/agentfense/agentfense/policy"
)

func TestPolicyArrivesByteForByte(t *testing.T) {
	p, err := policy.Compile([]policy.Rule{
		{Pattern: "/\xff\xfe/**", Level: policy.Read, Priority: -5},
		{Pattern: "/dir", Type: policy.Directory, Level: policy.Write, Preset: "mine"},
	})
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(NewConfig(p))
	if err != nil {
		t.Fatal(err)
	}
	var arrived Config
	if err := json.Unmarshal(data, &arrived); err != nil {
		t.Fatal(err)
	}
	q, err := arrived.Policy()
	if err != nil || q.Digest() != p.Digest() {
		t.Fatalf("Policy() = %v", err)
	}
	for _, path := range []string{"/\xff\xfe/x", "/\xef\xbf\xbd/x", "/dir/x", "/"} {
		if got, want := q.Decide(path), p.Decide(path); got != want {
			t.Errorf("Decide(%q) = %v, want %v", path, got, want)
		}
	}
	arrived.Rules[0].Level = policy.Write
	if _, err := arrived.Policy(); !errors.Is(err, ErrPolicy) {
		t.Errorf("Policy() of other rules: %v, want ErrPolicy", err)
	}
	arrived.Rules[0].Pattern = nil
	var bad *policy.RuleError
	if _, err := arrived.Policy(); !errors.As(err, &bad) {
		t.Errorf("Policy() of a bad rule: %v, want a RuleError", err)
	}
}

func TestMessages(t *testing.T) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	a, b := os.NewFile(uintptr(pair[0]), "a"), os.NewFile(uintptr(pair[1]), "b")
	defer b.Close()
	long := strings.Repeat("\x01", 100_000)
	for _, m := range []Message{{Kind: Ping}, {Kind: Pong, Busy: 1, Done: 1 << 60}, {Kind: Ready, Landlock: 7}, {Kind: Fault, Text: long}} {
		if err := Send(a, m); err != nil {
			t.Fatalf("Send(%v): %v", m.Kind, err)
		}
		got, err := Receive(b)
		if err != nil || got.Kind != m.Kind || got.Busy != m.Busy || got.Done != m.Done || !strings.HasPrefix(m.Text, got.Text) {
			t.Errorf("Receive() = %+v, %v, want %+v", got, err, m)
		}
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Receive(b); !errors.Is(err, io.EOF) {
		t.Errorf("Receive() after the end: %v, want EOF", err)
	}
}
