package worker

import (
	"reflect"
	"testing"
)

var samples = []Message{
	&Setup{
		Root: "/run/roots/1", View: "/run/views/1", Dir: "/state/sb", UID: 1_900_000_001,
		Writable: []string{"/", "/a\n\xff"}, Protected: []string{"/b"}, Files: []string{"/c"},
		Scratch: 1 << 40, Memory: 1 << 41, Filter: "\x06\x00",
	},
	&Ready{},
	&Failed{Stage: "mounts", Item: "/proc", Errno: 1, Text: "x"},
	&Exec{ID: 7, Argv: []string{"a", "\xff\x01"}, Env: []string{"A=b"}, Dir: "/workspace", Files: 5, Whole: true, Terminal: true},
	&Started{ID: 7, PID: 12, Op: "exec", Path: "/x", Errno: 2},
	&Exited{ID: 7, Status: 0x8b, Duration: -1, Clean: true},
	&Signal{ID: 7, Number: 15},
	&Interrupt{ID: 7, Number: 64, Since: 1 << 50, Mark: 4194304},
	&Interrupted{ID: 7},
	&Kill{ID: 1<<32 - 1},
	&Open{ID: 1, Path: "/workspace/x", Flags: 1 << 31, Mode: 0o644},
	&MakeDirs{ID: 1, Path: "x", Mode: 0o755},
	&List{ID: 1, Path: "x", Recursive: true},
	&Result{ID: 1, Errno: 13},
	&Entries{ID: 1, Last: true, Errno: 2, Entries: []Entry{{Path: "a", Mode: 0o100644, Size: 9, ModTime: -5, Target: "t"}, {Path: "b"}}},
	&Interrupt{ID: 1},
	&Interrupted{ID: 1},
	&Stat{ID: 1, Path: "x"},
	&Rename{ID: 1, From: "x", To: "\xff"},
	&Remove{ID: 1, Path: "x", Recursive: true},
	&Removed{ID: 1, Errno: 39, Path: "x/y"},
	&Watch{ID: 1, Path: "x", Recursive: true},
	&Next{ID: 1},
	&Events{ID: 1, Last: true, Events: []Event{{Change: Created, Path: "\n", Dir: true}, {Change: Overflow}}},
	&Cancel{ID: 1},
}

func TestUnmarshalInvertsMarshal(t *testing.T) {
	seen := map[Kind]bool{}
	for _, m := range samples {
		seen[m.Kind()] = true
		got, err := Unmarshal(Marshal(m))
		if err != nil || !reflect.DeepEqual(got, m) {
			t.Errorf("Unmarshal(Marshal(%#v)) = %#v, %v", m, got, err)
		}
	}
	for k := KindSetup; k <= KindCancel; k++ {
		if !seen[k] {
			t.Errorf("no sample of kind %d", k)
		}
	}
}

func TestUnmarshalRefusesEveryPrefix(t *testing.T) {
	for _, m := range samples {
		b := Marshal(m)
		for n := range len(b) {
			if got, err := Unmarshal(b[:n]); err == nil {
				t.Errorf("Unmarshal(%d of %d bytes of %#v) = %#v, want an error", n, len(b), m, got)
			}
		}
		if _, err := Unmarshal(append(b, 0)); err == nil {
			t.Errorf("Unmarshal(%#v and a byte more) succeeded", m)
		}
	}
}

func FuzzUnmarshal(f *testing.F) {
	for _, m := range samples {
		f.Add(Marshal(m))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Unmarshal(b)
		if err != nil {
			return
		}
		again, err := Unmarshal(Marshal(m))
		if err != nil || !reflect.DeepEqual(again, m) {
			t.Errorf("%#v became %#v, %v", m, again, err)
		}
	})
}
