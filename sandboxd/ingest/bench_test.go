package ingest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/agentfense/agentfense/sandboxd/store"
)

// source makes n files of a few KiB in directories of 50.
func source(b *testing.B, n int) string {
	b.Helper()
	root := b.TempDir()
	for i := range n {
		dir := filepath.Join(root, fmt.Sprintf("pkg%d", i/50))
		if i%50 == 0 {
			if err := os.Mkdir(dir, 0o755); err != nil {
				b.Fatal(err)
			}
		}
		data := make([]byte, 500+i%97*100)
		copy(data, fmt.Sprint(i))
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("file%d.go", i)), data, 0o644); err != nil {
			b.Fatal(err)
		}
	}
	time.Sleep(2 * time.Second)
	return root
}

func BenchmarkUnchanged(b *testing.B) {
	for _, n := range []int{1000, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			in, root := New(openStore(b)), source(b, n)
			req := Request{Dir: root, Policy: rules(b, "**/*=read", "**/.env*=none@1", "**/secrets/**=none@1")}
			ingest(b, in, req)
			for b.Loop() {
				if r := ingest(b, in, req); r.NewBytes != 0 {
					b.Fatal("not unchanged")
				}
			}
		})
	}
}

func BenchmarkFirst(b *testing.B) {
	root := source(b, 10_000)
	b.Run("ingest", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			dir := b.TempDir()
			s, err := store.Open(filepath.Join(dir, "store"), store.Options{})
			if err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
			result := ingest(b, New(s), Request{Dir: root})
			b.StopTimer()
			result.Snapshot.Close()
			s.Close()
			command(b, "rm", "-rf", dir)
			b.StartTimer()
		}
	})
	for name, script := range map[string]string{"cp": "cp -r $0 $1", "cp and sync": "cp -r $0 $1 && sync -f $1"} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				dir := b.TempDir()
				b.StartTimer()
				if out, err := exec.Command("sh", "-c", script, root, dir).CombinedOutput(); err != nil {
					b.Fatalf("%v\n%s", err, out)
				}
				b.StopTimer()
				command(b, "rm", "-rf", dir)
				b.StartTimer()
			}
		})
	}
}
