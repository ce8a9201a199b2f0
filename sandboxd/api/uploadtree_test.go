package api

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"slices"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
)

// tree uploads files as a client would, and returns which contents were asked
// for.
func (f *fixture) tree(codebase string, paths []string, content map[string]string) (sent []string, result *sandboxv1.IngestResult, err error) {
	f.Helper()
	stream, err := f.codebases.UploadTree(ctxOf(f.T))
	if err != nil {
		return nil, nil, err
	}
	send := func(m *sandboxv1.UploadTreeRequest) { stream.Send(m) } // Recv says what is wrong
	send(&sandboxv1.UploadTreeRequest{Step: &sandboxv1.UploadTreeRequest_Start_{Start: &sandboxv1.UploadTreeRequest_Start{
		CodebaseId: codebase,
		Options: &sandboxv1.IngestOptions{Permissions: []*sandboxv1.PermissionRule{
			{Pattern: "**/*", Permission: sandboxv1.Permission_PERMISSION_READ},
			{Pattern: "**/.env", Permission: sandboxv1.Permission_PERMISSION_NONE},
		}},
	}}})
	for i, p := range paths { // one message each
		send(&sandboxv1.UploadTreeRequest{Step: &sandboxv1.UploadTreeRequest_Manifest_{Manifest: &sandboxv1.UploadTreeRequest_Manifest{
			Entries: []*sandboxv1.TreeEntry{{Path: []byte(p), Kind: sandboxv1.TreeEntry_KIND_FILE, Mode: 0o644, Size: int64(len(content[p]))}},
			Last:    i == len(paths)-1,
		}}})
	}
	m, err := stream.Recv()
	if err != nil {
		return nil, nil, err
	}
	digests := &sandboxv1.UploadTreeRequest_Digests{Last: true}
	for _, i := range m.GetWanted().GetEntries() {
		sum := sha256.Sum256([]byte(content[paths[i]]))
		digests.Sha256 = append(digests.Sha256, sum[:])
	}
	send(&sandboxv1.UploadTreeRequest{Step: &sandboxv1.UploadTreeRequest_Digests_{Digests: digests}})
	if m, err = stream.Recv(); err != nil {
		return nil, nil, err
	}
	for _, i := range m.GetMissing().GetEntries() {
		sent = append(sent, paths[i])
		data := []byte(content[paths[i]])
		for part, last := data[:len(data)/2], false; ; part, last = data[len(data)/2:], true {
			send(&sandboxv1.UploadTreeRequest{Step: &sandboxv1.UploadTreeRequest_Content_{Content: &sandboxv1.UploadTreeRequest_Content{Data: part, EndOfFile: last}}})
			if last {
				break
			}
		}
	}
	m, err = stream.Recv()
	return sent, m.GetResult(), err
}

func TestUploadTreeSendsOnlyWhatIsMissing(t *testing.T) {
	f := newFixture(t)
	cb := f.codebase("known")
	content := map[string]string{"a": "same", "b": "same", "dir/c": "other", "old": "known", ".env": "secret", "empty": ""}
	paths := []string{"dir/c", "a", "b", ".env", "old", "empty"}
	sent, result, err := f.tree(cb, paths, content)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"dir/c", "a", "empty"}; !slices.Equal(sent, want) {
		t.Errorf("sent %v, want %v", sent, want)
	}
	if result.GetFiles() != 5 || result.GetCodebase().GetFileCount() != 5 || len(result.GetSkipped()) != 1 || string(result.GetSkipped()[0].GetPaths()[0]) != ".env" {
		t.Errorf("result is %v", result)
	}
	content["a"] = "changed"
	sent, result, err = f.tree(cb, paths, content)
	if err != nil || !slices.Equal(sent, []string{"a"}) || result.GetNewBytes() != 7 {
		t.Errorf("sent %v again, %v, %v", sent, result, err)
	}
	stream, err := f.codebases.DownloadFile(ctxOf(t), &sandboxv1.DownloadFileRequest{CodebaseId: cb, FilePath: "a"})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := readChunks(stream); got != "changed" || err != nil {
		t.Errorf("a is %q, %v", got, err)
	}
}

func TestUploadTreeErrors(t *testing.T) {
	f := newFixture(t)
	cb := f.codebase()
	start := &sandboxv1.UploadTreeRequest{Step: &sandboxv1.UploadTreeRequest_Start_{Start: &sandboxv1.UploadTreeRequest_Start{CodebaseId: cb}}}
	manifest := func(last bool, paths ...string) *sandboxv1.UploadTreeRequest {
		m := &sandboxv1.UploadTreeRequest_Manifest{Last: last}
		for _, p := range paths {
			m.Entries = append(m.Entries, &sandboxv1.TreeEntry{Path: []byte(p), Kind: sandboxv1.TreeEntry_KIND_FILE, Mode: 0o644, Size: 1})
		}
		return &sandboxv1.UploadTreeRequest{Step: &sandboxv1.UploadTreeRequest_Manifest_{Manifest: m}}
	}
	content := &sandboxv1.UploadTreeRequest{Step: &sandboxv1.UploadTreeRequest_Content_{Content: &sandboxv1.UploadTreeRequest_Content{}}}
	short := &sandboxv1.UploadTreeRequest{Step: &sandboxv1.UploadTreeRequest_Digests_{Digests: &sandboxv1.UploadTreeRequest_Digests{Sha256: [][]byte{{1}}, Last: true}}}
	for name, tt := range map[string]struct {
		steps  []*sandboxv1.UploadTreeRequest
		code   codes.Code
		reason string
	}{
		"nothing":            {nil, codes.InvalidArgument, ReasonUnexpectedStep},
		"no start":           {[]*sandboxv1.UploadTreeRequest{content}, codes.InvalidArgument, ReasonUnexpectedStep},
		"content at once":    {[]*sandboxv1.UploadTreeRequest{start, content}, codes.InvalidArgument, ReasonUnexpectedStep},
		"half a manifest":    {[]*sandboxv1.UploadTreeRequest{start, manifest(false, "a")}, codes.InvalidArgument, ReasonUnexpectedStep},
		"a path that leaves": {[]*sandboxv1.UploadTreeRequest{start, manifest(true, "../a")}, codes.InvalidArgument, ReasonInvalidField},
		"a path twice":       {[]*sandboxv1.UploadTreeRequest{start, manifest(true, "a", "a")}, codes.InvalidArgument, ReasonInvalidField},
		"a short digest":     {[]*sandboxv1.UploadTreeRequest{start, manifest(true, "a"), short}, codes.InvalidArgument, ReasonInvalidField},
	} {
		t.Run(name, func(t *testing.T) {
			stream, err := f.codebases.UploadTree(ctxOf(t))
			if err != nil {
				t.Fatal(err)
			}
			for _, step := range tt.steps {
				stream.Send(step)
			}
			stream.CloseSend()
			for err == nil {
				_, err = stream.Recv()
			}
			wantError(t, err, tt.code, tt.reason)
		})
	}
}

func TestListingsOfCodebasesAreBounded(t *testing.T) {
	f := newFixture(t)
	cb := f.codebase()
	stream, err := f.codebases.UploadTree(ctxOf(t))
	if err != nil {
		t.Fatal(err)
	}
	target := bytes.Repeat([]byte("x"), 4000)
	m := &sandboxv1.UploadTreeRequest_Manifest{}
	steps := []*sandboxv1.UploadTreeRequest{{Step: &sandboxv1.UploadTreeRequest_Start_{Start: &sandboxv1.UploadTreeRequest_Start{
		CodebaseId: cb, Options: &sandboxv1.IngestOptions{Permissions: []*sandboxv1.PermissionRule{{Pattern: "**/*", Permission: sandboxv1.Permission_PERMISSION_READ}}},
	}}}}
	for n := range 17000 {
		m.Entries = append(m.Entries, &sandboxv1.TreeEntry{Path: []byte(fmt.Sprintf("many/%d", n)), Kind: sandboxv1.TreeEntry_KIND_SYMLINK, SymlinkTarget: target})
		if m.Last = n == 16999; m.Last || len(m.Entries) == 1000 {
			steps = append(steps, &sandboxv1.UploadTreeRequest{Step: &sandboxv1.UploadTreeRequest_Manifest_{Manifest: m}})
			m = &sandboxv1.UploadTreeRequest_Manifest{}
		}
	}
	steps = append(steps, &sandboxv1.UploadTreeRequest{Step: &sandboxv1.UploadTreeRequest_Digests_{Digests: &sandboxv1.UploadTreeRequest_Digests{Last: true}}})
	for _, step := range steps {
		if err := stream.Send(step); err != nil {
			break // Recv says why
		}
	}
	for result := false; !result; {
		m, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		result = m.GetResult() != nil
	}
	_, err = f.codebases.ListFiles(ctxOf(t), &sandboxv1.ListFilesRequest{CodebaseId: cb, Recursive: true}, grpc.MaxCallRecvMsgSize(1<<30))
	if meta := wantError(t, err, codes.ResourceExhausted, ReasonLimitExceeded); meta["resource"] != "listing" {
		t.Errorf("details are %v", meta)
	}
	if r, err := f.codebases.ListFiles(ctxOf(t), &sandboxv1.ListFilesRequest{CodebaseId: cb}); err != nil || len(r.GetFiles()) != 1 {
		t.Errorf("ListFiles() = %v, %v", r, err)
	}
}
