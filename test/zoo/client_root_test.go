//go:build root

package main

import (
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
)

// methods are all calls of all services.
func methods() []protoreflect.MethodDescriptor {
	var all []protoreflect.MethodDescriptor
	for _, file := range []protoreflect.FileDescriptor{
		sandboxv1.File_sandbox_v1_sandbox_proto, sandboxv1.File_sandbox_v1_codebase_proto, sandboxv1.File_sandbox_v1_process_proto,
	} {
		for s := range file.Services().Len() {
			service := file.Services().Get(s)
			for m := range service.Methods().Len() {
				all = append(all, service.Methods().Get(m))
			}
		}
	}
	return all
}

// as returns a connection of another user's.
func (d *daemon) as(uid int) *grpc.ClientConn {
	d.Helper()
	conn, err := grpc.NewClient("passthrough:///daemon", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) { return dialAs(d.socket(), uid) }))
	if err != nil {
		d.Fatal(err)
	}
	d.Cleanup(func() { _ = conn.Close() })
	return conn
}

// dialAs connects on a thread that is somebody else, and ends with it.
func dialAs(socket string, uid int) (net.Conn, error) {
	type result struct {
		conn net.Conn
		err  error
	}
	results := make(chan result)
	go func() {
		runtime.LockOSThread() // for good
		for _, nr := range []uintptr{unix.SYS_SETRESGID, unix.SYS_SETRESUID} {
			if _, _, errno := unix.RawSyscall(nr, uintptr(uid), uintptr(uid), uintptr(uid)); errno != 0 {
				results <- result{nil, errno}
				return
			}
		}
		conn, err := net.Dial("unix", socket)
		results <- result{conn, err}
	}()
	r := <-results
	return r.conn, r.err
}

// fill sets every field of a message, and of those in it, that give has a value
// for. Of a oneof the first alternative is taken.
func fill(m protoreflect.Message, give func(protoreflect.FieldDescriptor) (protoreflect.Value, bool)) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		if o := f.ContainingOneof(); o != nil && !o.IsSynthetic() && o.Fields().Get(0) != f {
			continue
		}
		if v, ok := give(f); ok {
			m.Set(f, v)
		} else if f.Message() != nil && !f.IsList() && !f.IsMap() && takesID(f.Message()) {
			fill(m.Mutable(f).Message(), give)
		}
	}
}

// invoke makes a call with one message and returns all that came back.
func invoke(ctx context.Context, conn *grpc.ClientConn, m protoreflect.MethodDescriptor, request proto.Message) ([]proto.Message, error) {
	desc := &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}
	stream, err := conn.NewStream(ctx, desc, "/"+string(m.Parent().FullName())+"/"+string(m.Name()))
	if err != nil {
		return nil, err
	}
	if err := stream.SendMsg(request); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if err := stream.CloseSend(); err != nil {
		return nil, err
	}
	var replies []proto.Message
	for {
		reply := dynamicpb.NewMessage(m.Output())
		if err := stream.RecvMsg(reply); errors.Is(err, io.EOF) {
			return replies, nil
		} else if err != nil {
			return replies, err
		}
		replies = append(replies, reply)
	}
}

// ids gives every id in a request.
func ids(known map[string]string) func(protoreflect.FieldDescriptor) (protoreflect.Value, bool) {
	return func(f protoreflect.FieldDescriptor) (protoreflect.Value, bool) {
		if id, ok := known[string(f.Name())]; ok && f.Kind() == protoreflect.StringKind && !f.IsList() {
			return protoreflect.ValueOfString(id), true
		}
		switch f.Name() { // what must be there for the id to be looked at
		case "path", "file_path_bytes", "from", "to":
			return protoreflect.ValueOfBytes([]byte("open.txt")), f.Kind() == protoreflect.BytesKind && !f.IsList()
		case "file_path":
			return protoreflect.ValueOfString("open.txt"), true
		case "command":
			return protoreflect.ValueOfString("true"), f.Kind() == protoreflect.StringKind
		case "directory":
			return protoreflect.ValueOfBytes([]byte("/tmp")), true
		case "signal":
			return protoreflect.ValueOfInt32(9), f.Kind() == protoreflect.Int32Kind && f.ContainingOneof() == nil
		case "name":
			return protoreflect.ValueOfString("zoo"), f.Kind() == protoreflect.StringKind
		}
		return protoreflect.Value{}, false
	}
}

// takesID says whether a request names a thing of somebody's.
func takesID(m protoreflect.MessageDescriptor) bool {
	for i := range m.Fields().Len() {
		f := m.Fields().Get(i)
		if strings.HasSuffix(string(f.Name()), "_id") && f.Name() != "owner_id" && f.Name() != "request_id" {
			return true
		}
		if f.Message() != nil && f.Message().ParentFile().Package() == "sandbox.v1" && takesID(f.Message()) {
			return true
		}
	}
	return false
}

// methodsWithIDs are calls on things of somebody's, those last that end them.
func methodsWithIDs(t *testing.T) []protoreflect.MethodDescriptor {
	t.Helper()
	var use, end []protoreflect.MethodDescriptor
	for _, m := range methods() {
		name := string(m.Name())
		switch {
		case !takesID(m.Input()):
		case strings.HasPrefix(name, "Stop"), strings.HasPrefix(name, "De"):
			end = append(end, m)
		default:
			use = append(use, m)
		}
	}
	if len(use) < 30 || len(end) < 4 {
		t.Errorf("only %d and %d calls take ids", len(use), len(end))
	}
	return append(use, end...)
}

// idFields are the ids of things of somebody's that a request holds, at any depth.
func idFields(m protoreflect.MessageDescriptor, known map[string]string) map[string]bool {
	found := map[string]bool{}
	for i := range m.Fields().Len() {
		f := m.Fields().Get(i)
		if _, ok := known[string(f.Name())]; ok && f.Kind() == protoreflect.StringKind {
			found[string(f.Name())] = true
		}
		if f.Message() != nil && !f.IsList() && !f.IsMap() && takesID(f.Message()) {
			maps.Copy(found, idFields(f.Message(), known))
		}
	}
	return found
}

// likenesses are what would be an id of ours if it were taken for a path, or for
// more than it says.
func (d *daemon) likenesses(id string) []string {
	kind, _, _ := strings.Cut(id, "_")
	return []string{
		"..", ".", "/", "../..", "../" + id, id + "/", id + "/upper", id + "/..", "./" + id, id + "/.", "/" + id, "x/../" + id, "/proc/self/root" + d.dir, strings.Repeat("../", 30) + d.dir[1:],
		kind + "_../" + id, id + "\x00", "\x00" + id, id + "\n", strings.ToUpper(id), " " + id, id + " ", id[:len(id)-1], id + "*", strings.Repeat("x", 1<<20),
	}
}

// An id is looked up as it is, and never is part of a path. The other ids of a
// request are those of things that are there, so that each is looked at.
func TestIdsAreNoPaths(t *testing.T) {
	d := start(t, bin)
	dir := t.TempDir()
	if err := build(dir); err != nil {
		t.Fatal(err)
	}
	conn := d.dial()
	known := d.things(d.ingest(dir))
	for _, m := range methodsWithIDs(t) {
		fields := idFields(m.Input(), known)
		if len(fields) == 0 {
			t.Errorf("%s: no id of what is there", m.Name())
		}
		for field := range fields {
			for _, id := range d.likenesses(known[field]) {
				request := dynamicpb.NewMessage(m.Input())
				given := maps.Clone(known)
				given[field] = id
				fill(request, ids(given))
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				replies, err := invoke(ctx, conn, m, request)
				cancel()
				switch code := status.Code(err); {
				case code == codes.NotFound, code == codes.InvalidArgument && !unmentioned(err, field):
				case code == codes.OK && m.Name() == "ListSandboxes" && len(replies) == 1 && proto.Size(replies[0]) == 0:
				default:
					t.Errorf("%s of %s %.60q = %v, %v", m.Name(), field, id, replies, err)
				}
			}
		}
	}
	if r, err := d.Exec(bound(t), &sandboxv1.ExecRequest{SandboxId: known["sandbox_id"], Command: "cat open.txt"}); err != nil || r.GetStdout() != "open" {
		t.Errorf("afterwards: %v, %v", r, err)
	}
}

// unmentioned says that a call was refused for something else than a field.
func unmentioned(err error, field string) bool {
	return !strings.Contains(status.Convert(err).Message(), field)
}

// things are the ids of one of each kind, in a sandbox of a codebase.
func (d *daemon) things(codebase string) map[string]string {
	d.Helper()
	known := map[string]string{"codebase_id": codebase, "sandbox_id": d.open(codebase, "development")}
	s, err := d.CreateSession(bound(d), &sandboxv1.CreateSessionRequest{SandboxId: known["sandbox_id"]})
	if err != nil {
		d.Fatal(err)
	}
	p, err := sandboxv1.NewProcessServiceClient(d.dial()).Spawn(bound(d), &sandboxv1.SpawnRequest{Exec: &sandboxv1.ExecRequest{SandboxId: known["sandbox_id"], Command: "sleep 600"}})
	if err != nil {
		d.Fatal(err)
	}
	known["session_id"], known["process_id"] = s.GetId(), p.GetId()
	return known
}

// Whatever call another user makes with somebody's ids, the answer is the same
// as for ids that never were.
func TestIdsOfOthersAreUnknown(t *testing.T) {
	d := start(t, bin)
	dir := t.TempDir()
	if err := build(dir); err != nil {
		t.Fatal(err)
	}
	known := d.things(d.ingest(dir))
	never := map[string]string{}
	for field, id := range known {
		kind, _, _ := strings.Cut(id, "_")
		never[field] = kind + "_" + strings.Repeat("0", 32)
	}
	stranger := d.as(3999)
	for _, m := range methodsWithIDs(t) {
		ask := func(known map[string]string) string {
			request := dynamicpb.NewMessage(m.Input())
			fill(request, ids(known))
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			replies, err := invoke(ctx, stranger, m, request)
			said := status.Convert(err)
			if len(replies) > 0 && m.Name() != "ListSandboxes" && m.Name() != "ListSessions" && m.Name() != "ListProcesses" {
				t.Errorf("%s gave %v", m.Name(), replies)
			}
			switch said.Code() {
			case codes.NotFound, codes.Unimplemented:
			case codes.OK:
				if len(replies) != 1 || proto.Size(replies[0]) > 0 {
					t.Errorf("%s worked: %v", m.Name(), replies)
				}
			default:
				t.Errorf("%s = %v, want not found", m.Name(), err)
			}
			text := said.Code().String() + said.Message()
			for _, detail := range said.Proto().GetDetails() {
				text += string(detail.GetValue())
			}
			for _, id := range known {
				text = strings.ReplaceAll(text, id, "ID")
			}
			return text
		}
		if a, b := ask(known), ask(never); a != b {
			t.Errorf("%s says of another's ids %q, of none %q", m.Name(), a, b)
		}
	}
	if sb, err := d.GetSandbox(bound(t), &sandboxv1.GetSandboxRequest{SandboxId: known["sandbox_id"]}); err != nil || sb.GetStatus() != sandboxv1.SandboxStatus_SANDBOX_STATUS_RUNNING {
		t.Errorf("afterwards the sandbox is %v, %v", sb.GetStatus(), err)
	}
}
