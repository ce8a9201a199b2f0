package api

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
)

// withInflow gives each user little, and makes the heap seem as large as told.
func withInflow(t *testing.T, most int64, live uint64) *fixture {
	f := newFixture(t, func(c *Config) { c.Limits.Inflow = most })
	f.server.inflow.mu.Lock()
	defer f.server.inflow.mu.Unlock()
	f.server.inflow.live = func() uint64 { return live }
	return f
}

// held is what the messages of this user hold.
func (f *fixture) held() int64 {
	flow := f.server.inflow
	flow.mu.Lock()
	defer flow.mu.Unlock()
	if u := flow.users[uint32(os.Getuid())]; u != nil {
		return u.held
	}
	return 0
}

func (f *fixture) until(what string, reached func() bool) {
	f.Helper()
	for end := time.Now().Add(30 * time.Second); !reached(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			f.Fatalf("%s did not come; %d bytes are held", what, f.held())
		}
	}
}

// begin sends the beginning of a message of 15 MiB in each of some calls, on one
// connection. What it returns is closed when the daemon cuts that.
func (f *fixture) begin(calls int) <-chan struct{} {
	data := make([]byte, 16<<10)
	binary.BigEndian.PutUint32(data[1:], 15<<20)
	return f.call(calls, data, 0)
}

// call makes calls of Exec, each with one frame of data, on one connection. What
// it returns is closed when the daemon cuts that.
func (f *fixture) call(calls int, data []byte, flags byte) <-chan struct{} {
	f.Helper()
	conn, err := net.Dial("unix", f.socket)
	if err != nil {
		f.Fatal(err)
	}
	cut := make(chan struct{})
	f.Cleanup(func() { conn.Close(); <-cut })
	go func() { // windows do not matter: each call keeps to what it begins with
		defer close(cut)
		_, _ = io.Copy(io.Discard, conn)
	}()
	var headers []byte
	for n, h := range []string{
		":method", "POST", ":scheme", "http", ":path", "/sandbox.v1.SandboxService/Exec", ":authority", "x",
		"content-type", "application/grpc", "te", "trailers",
	} {
		if n%2 == 0 {
			headers = append(headers, 0) // a literal that nobody remembers
		}
		headers = append(append(headers, byte(len(h))), h...)
	}
	out := append([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), frame(4, 0, 0, nil)...)
	for n := range calls {
		id := uint32(2*n + 1)
		out = append(append(out, frame(1, 4, id, headers)...), frame(0, flags, id, data)...)
	}
	_, _ = conn.Write(out) // it may be cut by now
	return cut
}

// frame is one of HTTP/2.
func frame(kind, flags byte, stream uint32, payload []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(payload))<<8|uint32(kind))
	return append(binary.BigEndian.AppendUint32(append(b, flags), stream), payload...)
}

func TestMessagesThatDoNotEndAreBounded(t *testing.T) {
	const most, connections = 256 << 10, 50
	f := withInflow(t, most, math.MaxInt64)
	var open []<-chan struct{}
	for range connections {
		open = append(open, f.begin(3)) // the window of a connection begins at 64 KiB
	}
	f.until("the cut", func() bool {
		left := 0
		for _, cut := range open {
			select {
			case <-cut:
			default:
				left++
			}
		}
		return left*48<<10 <= most
	})
}

// Answers that are not read are cut, though their calls have ended. A window of 64
// KiB is never opened again.
func TestAnswersThatNobodyReadsAreBounded(t *testing.T) {
	const most, size = 4 << 20, 500_000
	f := withInflow(t, most, math.MaxInt64)
	req, err := proto.Marshal(&sandboxv1.ExecRequest{SandboxId: f.sandbox(), Command: fmt.Sprintf("head -c %d /dev/zero", size)})
	if err != nil {
		t.Fatal(err)
	}
	const endOfStream = 1
	cut := f.call(most/size+2, append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(req))), req...), endOfStream)
	select {
	case <-cut:
	case <-ctxOf(t).Done():
		t.Errorf("%d bytes of answers are held", f.held())
	}
	f.until("room", func() bool { return f.held() < 1000 })
}

// Nor does reading a stream on the same connection pay for them.
func TestAStreamPaysForNoOtherAnswer(t *testing.T) {
	const size, window = 500_000, 64 << 10
	f := withInflow(t, 64<<20, math.MaxInt64)
	sb := f.sandbox()
	// Given windows stay as they are.
	conn, err := grpc.NewClient("unix://"+f.socket, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithInitialWindowSize(window), grpc.WithInitialConnWindowSize(window))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	unread, err := conn.NewStream(ctxOf(t), &grpc.StreamDesc{ServerStreams: true}, sandboxv1.SandboxService_Exec_FullMethodName)
	if err != nil {
		t.Fatal(err)
	}
	req := &sandboxv1.ExecRequest{SandboxId: sb, Command: fmt.Sprintf("head -c %d /dev/zero", size)}
	if err := errors.Join(unread.SendMsg(req), unread.CloseSend()); err != nil {
		t.Fatal(err)
	}
	f.until("the answer", func() bool { held := f.held(); return held > size-2*window && held < size })
	read, err := sandboxv1.NewSandboxServiceClient(conn).ExecStream(ctxOf(t), &sandboxv1.ExecRequest{SandboxId: sb, Command: fmt.Sprintf("head -c %d /dev/zero", 4*size)})
	for err == nil {
		_, err = read.Recv()
	}
	if !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	f.until("the stream's end", func() bool { return f.held() < size })
	if held := f.held(); held < size-2*window {
		t.Errorf("%d bytes are counted of an answer of %d that nobody reads", held, size)
	}
}

// writing starts a file in the sandbox.
func (f *fixture) writing(ctx context.Context, sandbox string) grpc.ClientStreamingClient[sandboxv1.WriteFileRequest, sandboxv1.FileInfo] {
	f.Helper()
	stream, err := f.WriteFile(ctx)
	if err != nil {
		f.Fatal(err)
	}
	start := &sandboxv1.WriteFileRequest_Start{SandboxId: sandbox, Path: []byte("x")}
	if err := stream.Send(&sandboxv1.WriteFileRequest{Step: &sandboxv1.WriteFileRequest_Start_{Start: start}}); err != nil {
		f.Fatal(err)
	}
	return stream
}

func content(size int) *sandboxv1.WriteFileRequest {
	return &sandboxv1.WriteFileRequest{Step: &sandboxv1.WriteFileRequest_Data{Data: make([]byte, size)}}
}

func TestCallsOfAUserWhoseMessagesHoldTooMuchAreRefused(t *testing.T) {
	const most = 4 << 20
	f := withInflow(t, most, math.MaxInt64)
	sandbox := f.sandbox()
	ctx, cancel := context.WithCancel(ctxOf(t))
	for range 5 {
		if err := f.writing(ctx, sandbox).Send(content(most / 8)); err != nil {
			t.Fatal(err)
		}
	}
	f.until("what is sent", func() bool { return f.held() > most/2 })
	_, err := f.GetInfo(ctxOf(t), &sandboxv1.GetInfoRequest{})
	if meta := wantError(t, err, codes.ResourceExhausted, ReasonLimitExceeded); meta["resource"] != "message-bytes-per-owner" || meta["limit"] != "2097152" {
		t.Errorf("details are %v", meta)
	}
	cancel()
	f.until("the end of the calls", func() bool { return f.held() < 1000 }) // a ping may come after them
	if _, err := f.GetInfo(ctxOf(t), &sandboxv1.GetInfoRequest{}); err != nil {
		t.Errorf("afterwards GetInfo() = %v", err)
	}
}

func TestAConnectionThatHoldsTooMuchIsCut(t *testing.T) {
	const most = 4 << 20
	f := withInflow(t, most, math.MaxInt64)
	sandbox := f.sandbox()
	var open []sandboxv1.SandboxService_ExecInteractiveClient
	for range 20 {
		stream, err := f.ExecInteractive(ctxOf(t))
		if err != nil {
			t.Fatal(err)
		}
		start := &sandboxv1.ExecRequest{SandboxId: sandbox, Command: "sleep 600"}
		if err := stream.Send(&sandboxv1.ExecInput{Step: &sandboxv1.ExecInput_Start{Start: start}}); err != nil {
			t.Fatal(err)
		}
		if _, err := stream.Recv(); err != nil { // it runs
			t.Fatal(err)
		}
		open = append(open, stream)
	}
	for _, stream := range open {
		_ = stream.Send(&sandboxv1.ExecInput{Step: &sandboxv1.ExecInput_Stdin{Stdin: make([]byte, most/8)}}) // it may be cut by now
	}
	for _, stream := range open {
		if _, err := stream.Recv(); status.Code(err) != codes.Unavailable {
			t.Errorf("a call of the connection = %v", err)
		}
	}
	f.until("the end of the connection", func() bool { return f.held() < 1000 })
}

func TestWhatCannotBeThereIsForgotten(t *testing.T) {
	const most = 64 << 10
	f := withInflow(t, most, 0)
	sandbox := f.sandbox()
	f.writing(ctxOf(t), sandbox) // a call stays open
	for range 2000 {
		if _, err := f.GetInfo(ctxOf(t), &sandboxv1.GetInfoRequest{}); err != nil {
			t.Fatalf("GetInfo() = %v", err)
		}
	}
}

// What waits for a command to read it is no message any more, and so not counted:
// it must be little.
func TestInputThatNobodyReadsIsNotReceived(t *testing.T) {
	f := newFixture(t)
	sb := f.sandbox()
	ctx, cancel := context.WithCancel(ctxOf(t))
	defer cancel()
	stream, err := f.ExecInteractive(ctx)
	if err != nil {
		t.Fatal(err)
	}
	start := &sandboxv1.ExecRequest{SandboxId: sb, Command: "sleep 600"}
	if err := stream.Send(&sandboxv1.ExecInput{Step: &sandboxv1.ExecInput_Start{Start: start}}); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	var sent atomic.Int32
	done := make(chan struct{})
	go func() {
		defer close(done)
		in := &sandboxv1.ExecInput{Step: &sandboxv1.ExecInput_Stdin{Stdin: make([]byte, 4<<20)}}
		for stream.Send(in) == nil {
			sent.Add(1)
		}
	}()
	for end := time.Now().Add(time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if n := sent.Load(); n > 2 { // one that waits, and one that gRPC has
			t.Fatalf("%d messages were received", n)
		}
	}
	cancel()
	<-done
}
