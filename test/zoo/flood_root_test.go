//go:build root

package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
)

// badPaths try to leave what they are relative to.
func badPaths(target string) []string {
	up := strings.Repeat("../", 40)
	return []string{
		"..", "../", "../x", "/..", "/../..", up + target[1:], "/" + up + target[1:], "/workspace/" + up + target[1:], "output/" + up + target[1:],
		"output/../" + up + target[1:], target, "//" + target, "./" + target, "link-out", "link-to-vault/inner.txt", "/proc/1/root" + target, "/proc/self/root" + target,
		"/proc/self/cwd/" + up + target[1:], "/proc/1/fd/3", "/proc/self/fd/3", "/proc/1/mem", "/dev/fd/3", "x\x00y", "", "/", ".", strings.Repeat("a/", 4000), strings.Repeat("x", 100000),
		"secret.env", "vault/inner.txt", "\xff\xfe", "shown/inner.txt", "output/veiled.txt",
	}
}

// Whatever path stands in whatever field, nothing of the host's or hidden comes
// back, and nothing of the host's changes.
func TestPathsStayInside(t *testing.T) {
	d := start(t, bin)
	dir := t.TempDir()
	if err := build(dir); err != nil {
		t.Fatal(err)
	}
	host := filepath.Join(d.dir, "host-file")
	if err := os.WriteFile(host, []byte(hostMark), 0o666); err != nil {
		t.Fatal(err)
	}
	sandbox := d.open(d.ingest(dir), "development")
	spare, err := d.codebases.CreateCodebase(bound(t), &sandboxv1.CreateCodebaseRequest{Name: "spare"})
	if err != nil {
		t.Fatal(err)
	}
	conn := d.dial(grpc.MaxCallRecvMsgSize(64 << 20))
	tried := 0
	for _, m := range methods() {
		if !takesPath(m.Input()) || m.Name() == "IngestDirectory" {
			continue
		}
		for _, path := range badPaths(host) {
			tried++
			request := dynamicpb.NewMessage(m.Input())
			fill(request, paths(path, map[string]string{"sandbox_id": sandbox, "codebase_id": spare.GetId()}))
			switch from, to := request.Descriptor().Fields().ByName("from"), request.Descriptor().Fields().ByName("to"); {
			case from == nil || to == nil:
			case tried%2 == 0:
				request.Set(from, protoreflect.ValueOfBytes([]byte("output/plain.txt")))
			default:
				request.Set(to, protoreflect.ValueOfBytes([]byte(path+"-taken")))
			}
			patience := 10 * time.Second
			if m.Name() == "WatchFiles" { // it waits for changes
				patience = 100 * time.Millisecond
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			replies, err := invoke(ctx, conn, m, request)
			cancel()
			if code := status.Code(err); code == codes.Internal || code == codes.DeadlineExceeded && m.Name() != "WatchFiles" || code == codes.Unavailable || code == codes.Unknown {
				t.Errorf("%s of %.60q = %v", m.Name(), path, err)
			}
			for _, r := range replies {
				if b, err := proto.Marshal(r); err != nil || bytes.Contains(b, []byte(hostMark)) || bytes.Contains(b, []byte(secretMark)) && m.Name() != "DownloadFile" {
					t.Errorf("%s of %.60q gave %.100q, %v", m.Name(), path, b, err)
				}
			}
		}
	}
	if b, err := os.ReadFile(host); err != nil || string(b) != hostMark {
		t.Errorf("the host's file is %q, %v", b, err)
	}
	if tried < 200 {
		t.Errorf("only %d attempts", tried)
	}
	d.alive()
}

func takesPath(m protoreflect.MessageDescriptor) bool {
	for i := range m.Fields().Len() {
		f := m.Fields().Get(i)
		if isPath(f) || f.Message() != nil && f.Message().ParentFile().Package() == "sandbox.v1" && takesPath(f.Message()) {
			return true
		}
	}
	return false
}

func isPath(f protoreflect.FieldDescriptor) bool {
	switch f.Name() {
	case "path", "paths", "file_path", "file_path_bytes", "path_bytes", "from", "to", "workdir", "shell", "directory":
		return f.Kind() == protoreflect.StringKind || f.Kind() == protoreflect.BytesKind
	}
	return false
}

// paths gives the same path to every field for one.
func paths(path string, known map[string]string) func(protoreflect.FieldDescriptor) (protoreflect.Value, bool) {
	return func(f protoreflect.FieldDescriptor) (protoreflect.Value, bool) {
		value := protoreflect.ValueOfBytes([]byte(path))
		if f.Kind() == protoreflect.StringKind {
			value = protoreflect.ValueOfString(strings.ToValidUTF8(path, "?"))
		}
		switch {
		case isPath(f) && f.IsList():
			list := dynamicpb.NewMessage(f.ContainingMessage()).NewField(f).List()
			list.Append(value)
			return protoreflect.ValueOfList(list), true
		case isPath(f):
			return value, true
		case f.Name() == "command" && f.Kind() == protoreflect.StringKind:
			return protoreflect.ValueOfString("cat file /etc/shadow"), true
		}
		id, ok := known[string(f.Name())]
		return protoreflect.ValueOfString(id), ok
	}
}

// A client can hurt the daemon by no size, number or rubbish: others are served.
func TestFloodsHurtNobodyElse(t *testing.T) {
	d := start(t, bin)
	dir := t.TempDir()
	if err := build(dir); err != nil {
		t.Fatal(err)
	}
	sandbox := d.open(d.ingest(dir), "development")
	before := resident(t, d.process.Process.Pid)
	for name, attack := range map[string]func(t *testing.T, d *daemon, sandbox string, hold func()){
		"oversized messages": oversized, "streams": streams, "slow readers": slowReaders, "garbage": garbageOnSocket, "idle connections": idleConnections,
	} {
		t.Run(name, func(t *testing.T) {
			done, held := make(chan struct{}), make(chan int)
			hold := func() { // until others have been served
				for range 5 {
					<-held
				}
			}
			go func() {
				defer close(done)
				attack(t, d, sandbox, hold)
			}()
			for served := 0; ; served++ {
				r, err := d.newcomer(t, sandbox)
				if err != nil || r.GetStdout() != "open" {
					t.Fatalf("meanwhile: %v, %v", r, err)
				}
				select {
				case <-done:
					t.Logf("%d commands meanwhile", served)
					return
				case held <- served:
				case <-time.After(10 * time.Millisecond):
				}
			}
		})
	}
	if after := resident(t, d.process.Process.Pid); after > before+(1<<30) { // 8,000 streams and what the collector has not given back
		t.Errorf("the daemon has %d MiB, %d before", after>>20, before>>20)
	}
}

// newcomer connects, and runs a command.
func (d *daemon) newcomer(t *testing.T, sandbox string) (*sandboxv1.ExecResult, error) {
	conn, err := grpc.NewClient("unix://"+d.socket(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return sandboxv1.NewSandboxServiceClient(conn).Exec(bound(t), &sandboxv1.ExecRequest{SandboxId: sandbox, Command: "cat open.txt"})
}

func oversized(t *testing.T, d *daemon, sandbox string, _ func()) {
	c := sandboxv1.NewSandboxServiceClient(d.dial())
	for _, size := range []int{17 << 20, 100 << 20} {
		_, err := c.Exec(bound(t), &sandboxv1.ExecRequest{SandboxId: sandbox, Command: strings.Repeat("x", size)})
		if status.Code(err) != codes.ResourceExhausted {
			t.Errorf("a command of %d MiB = %v", size>>20, err)
		}
	}
	// Below the limit of a message, and over that of its parts.
	many := map[string]string{}
	for i := range 100_000 {
		many[fmt.Sprint("k", i)] = "v"
	}
	for what, request := range map[string]*sandboxv1.ExecRequest{
		"variables": {SandboxId: sandbox, Command: "true", Env: many}, "argument": {SandboxId: sandbox, Argv: [][]byte{[]byte("true"), make([]byte, 4<<20)}},
		"arguments": {SandboxId: sandbox, Argv: bytes.SplitAfter(bytes.Repeat([]byte("x,"), 1<<20), []byte(","))},
		"workdir":   {SandboxId: sandbox, Command: "true", Workdir: strings.Repeat("x", 8<<20)},
	} {
		if _, err := c.Exec(bound(t), request); status.Code(err) != codes.InvalidArgument && status.Code(err) != codes.ResourceExhausted {
			t.Errorf("a command with too much of its %s = %.200v", what, err)
		}
	}
}

// streams opens thousands of calls that never say anything.
func streams(t *testing.T, d *daemon, _ string, hold func()) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for range 2 {
		c := sandboxv1.NewSandboxServiceClient(d.dial())
		for i := range 4000 {
			if _, err := c.ExecInteractive(ctx); err != nil {
				t.Errorf("stream %d: %v", i, err)
				return
			}
		}
	}
	hold()
}

func slowReaders(t *testing.T, d *daemon, sandbox string, hold func()) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	c := sandboxv1.NewSandboxServiceClient(d.dial())
	for range 50 {
		stream, err := c.ExecStream(ctx, &sandboxv1.ExecRequest{SandboxId: sandbox, Command: "exec cat /dev/zero"})
		if err != nil {
			t.Error(err)
			return
		}
		if _, err := stream.Recv(); err != nil {
			t.Errorf("first output: %v", err)
			return
		}
	}
	hold()
}

func garbageOnSocket(t *testing.T, d *daemon, _ string, _ func()) {
	random := make([]byte, 1<<16)
	if _, err := rand.Read(random); err != nil {
		t.Error(err)
		return
	}
	const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	settings := "\x00\x00\x00\x04\x00\x00\x00\x00\x00"
	for _, what := range []string{
		string(random), "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + string(random[:500]), preface, preface + string(random),
		preface + settings + strings.Repeat("\x00\x00\x08\x06\x00\x00\x00\x00\x0012345678", 10000), preface + settings + "\xff\xff\xff\x01\x04\x00\x00\x00\x01",
		preface + settings + strings.Repeat("\x00\x00\x04\x03\x00\x00\x00\x00\x01\x00\x00\x00\x08", 10000), preface + settings + strings.Repeat("\x00\x00\x00\x09\x00\x00\x00\x00\x01", 10000),
		"", "\n",
	} {
		for range 20 {
			conn, err := net.Dial("unix", d.socket())
			if err != nil {
				t.Error(err)
				return
			}
			_ = conn.SetDeadline(time.Now().Add(time.Second))
			_, _ = conn.Write([]byte(what)) // it may be closed by then
			conn.Close()
		}
	}
}

func idleConnections(t *testing.T, d *daemon, _ string, hold func()) {
	var open []net.Conn
	for range 1000 {
		conn, err := net.Dial("unix", d.socket())
		if err != nil {
			t.Error(err)
			break
		}
		open = append(open, conn)
	}
	hold()
	for _, conn := range open {
		conn.Close()
	}
}

// resident is the memory of a process, in bytes.
func resident(t testing.TB, pid int) int {
	t.Helper()
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/statm")
	if err != nil {
		t.Fatal(err)
	}
	f := strings.Fields(string(b))
	pages, err := strconv.Atoi(f[1])
	if err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize()
}
