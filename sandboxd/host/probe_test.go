package host

import (
	"testing"
)

func TestADirectoryIsNoController(t *testing.T) {
	dir := t.TempDir()
	if got := cgroupsAt(dir); got.Version != 0 || got.Has("memory") {
		t.Errorf("cgroupsAt(%q) = %+v, want nothing", dir, got)
	}
}

func TestEveryLossSaysWhatToDo(t *testing.T) {
	seen := map[string]bool{}
	for _, l := range Known() {
		if l.Name == "" || l.Consequence == "" || l.Fix == "" || seen[l.Name] || !KnownName(l.Name) {
			t.Errorf("%+v says too little, or twice the same", l)
		}
		seen[l.Name] = true
	}
	if KnownName("") || KnownName("everything") {
		t.Error("there are losses of any name")
	}
}

func TestLossesAreKnown(t *testing.T) {
	losses, err := Losses()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range losses {
		if !KnownName(l.Name) {
			t.Errorf("%s is not known", l.Name)
		}
	}
}
