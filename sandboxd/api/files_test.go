package api

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"pgregory.net/rapid"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
)

func TestCleanPath(t *testing.T) {
	for path, want := range map[string]string{
		"":                    ".",
		"/":                   ".",
		"/workspace":          ".",
		"/workspace/":         ".",
		"x":                   "x",
		"/x":                  "x",
		"/workspace/x":        "x",
		"workspace/x":         "workspace/x",
		"/workspacex":         "workspacex",
		"a/./b//c/":           "a/b/c",
		"a/../b":              "b",
		"//x":                 "x",
		"/workspace/../x":     "",
		"..":                  "",
		"a/../..":             "",
		"/..":                 "",
		"/workspace/a/../../": "",
		"a\x00":               "",
		"..a/b":               "..a/b",
		"\xff\n":              "\xff\n",
	} {
		got, err := cleanPath(path)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("cleanPath(%q) = %q, %v, want %q", path, got, err, want)
		}
	}
	if _, err := cleanPath(strings.Repeat("a/", 4000)); err == nil {
		t.Error("a path of 8000 bytes is accepted")
	}
}

func TestCleanPathNeverLeaves(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SliceOf(rapid.SampledFrom([]string{"..", ".", "", "a", "/", "workspace", "/workspace", "..."})).Draw(t, "parts")
		clean, err := cleanPath(strings.Join(parts, "/"))
		if err == nil && !filepath.IsLocal(clean) {
			t.Fatalf("%q is %q", parts, clean)
		}
	})
}

func (f *fixture) write(sandbox, path string, mode uint32, chunks ...string) (*sandboxv1.FileInfo, error) {
	f.Helper()
	stream, err := f.WriteFile(ctxOf(f.T))
	if err != nil {
		return nil, err
	}
	stream.Send(&sandboxv1.WriteFileRequest{Step: &sandboxv1.WriteFileRequest_Start_{Start: &sandboxv1.WriteFileRequest_Start{SandboxId: sandbox, Path: []byte(path), Mode: mode}}})
	for _, c := range chunks {
		stream.Send(&sandboxv1.WriteFileRequest{Step: &sandboxv1.WriteFileRequest_Data{Data: []byte(c)}})
	}
	return stream.CloseAndRecv()
}

func (f *fixture) read(sandbox, path string) (string, error) {
	f.Helper()
	stream, err := f.ReadFile(ctxOf(f.T), &sandboxv1.ReadFileRequest{SandboxId: sandbox, Path: []byte(path)})
	if err != nil {
		return "", err
	}
	return readChunks(stream)
}

func TestFilesOfASandbox(t *testing.T) {
	f := newFixture(t)
	sb := f.sandbox()
	info, err := f.write(sb, "/workspace/new/dir/x", 0o750, "one ", "two")
	if err != nil || info.GetSize() != 7 || info.GetMode() != 0o750 || info.GetPath() != "new/dir/x" || info.GetName() != "x" {
		t.Fatalf("written %v, %v", info, err)
	}
	if got, err := f.read(sb, "new/dir/x"); got != "one two" || err != nil {
		t.Errorf("read %q, %v", got, err)
	}
	if _, err := f.write(sb, "new/dir/x", 0, "3"); err != nil {
		t.Error(err)
	}
	if st, err := os.Stat(filepath.Join(f.runtime.dir, "new/dir/x")); err != nil || st.Mode() != 0o750 || st.Size() != 1 {
		t.Errorf("the file is %v, %v", st, err)
	}
	list, err := f.ListSandboxFiles(ctxOf(t), &sandboxv1.ListSandboxFilesRequest{SandboxId: sb, Path: []byte("/new")})
	if err != nil || len(list.GetFiles()) != 1 || list.GetFiles()[0].GetPath() != "new/dir" {
		t.Errorf("list is %v, %v", list, err)
	}
	_, err = f.read(sb, "nope")
	if !strings.Contains(err.Error(), "/workspace/nope does not exist") {
		t.Errorf("the error does not say where the file is not: %v", err)
	}
	if meta := wantError(t, err, codes.NotFound, ReasonFileNotFound); meta["path"] != "/nope" || meta["operation"] != "read" || meta["sandbox_id"] != sb {
		t.Errorf("metadata is %v", meta)
	}
	_, err = f.write(sb, "x", 0o4755)
	wantError(t, err, codes.InvalidArgument, ReasonInvalidField)
	_, err = f.read(sb, "new")
	wantError(t, err, codes.FailedPrecondition, ReasonNotAFile)
}

func TestCodebaseFiles(t *testing.T) {
	f := newFixture(t)
	cb := f.codebase("a", "dir/b", "dir/sub/c")
	for name, tt := range map[string]struct {
		path      string
		recursive bool
		want      string
	}{
		"the root": {"", false, "a dir"},
		"all":      {"/", true, "a dir dir/b dir/sub dir/sub/c"},
		"a dir":    {"dir", false, "dir/b dir/sub"},
		"a file":   {"/a", true, "a"},
	} {
		t.Run(name, func(t *testing.T) {
			resp, err := f.codebases.ListFiles(ctxOf(t), &sandboxv1.ListFilesRequest{CodebaseId: cb, Path: tt.path, Recursive: tt.recursive})
			if err != nil {
				t.Fatal(err)
			}
			var paths []string
			for _, file := range resp.GetFiles() {
				paths = append(paths, file.GetPath())
			}
			if got := strings.Join(paths, " "); got != tt.want {
				t.Errorf("files are %q, want %q", got, tt.want)
			}
		})
	}
	up, err := f.upload(&sandboxv1.UploadChunk_Metadata{CodebaseId: cb, FilePathBytes: []byte("\xff"), TotalSize: 3, Mode: 0o755}, "ab", "c")
	if err != nil || up.GetSize() != 3 || up.GetFilePath() != "\uFFFD" || up.GetChecksum() != "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" {
		t.Errorf("uploaded %v, %v", up, err)
	}
	stream, err := f.codebases.DownloadFile(ctxOf(t), &sandboxv1.DownloadFileRequest{CodebaseId: cb, FilePathBytes: []byte("/\xff")})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := readChunks(stream); got != "abc" || err != nil {
		t.Errorf("downloaded %q, %v", got, err)
	}
}

func TestCodebaseErrors(t *testing.T) {
	f := newFixture(t)
	cb := f.codebase("a", "dir/b")
	for name, tt := range map[string]struct {
		meta   *sandboxv1.UploadChunk_Metadata
		chunks []string
		code   codes.Code
		reason string
	}{
		"no metadata":      {nil, nil, codes.InvalidArgument, ReasonUnexpectedStep},
		"no codebase":      {&sandboxv1.UploadChunk_Metadata{FilePath: "x"}, nil, codes.InvalidArgument, ReasonMissingField},
		"unknown codebase": {&sandboxv1.UploadChunk_Metadata{CodebaseId: "cb_no", FilePath: "x"}, nil, codes.NotFound, ReasonCodebaseNotFound},
		"no path":          {&sandboxv1.UploadChunk_Metadata{CodebaseId: cb}, nil, codes.InvalidArgument, ReasonMissingField},
		"leaves":           {&sandboxv1.UploadChunk_Metadata{CodebaseId: cb, FilePath: "../x"}, nil, codes.InvalidArgument, ReasonInvalidPath},
		"a directory":      {&sandboxv1.UploadChunk_Metadata{CodebaseId: cb, FilePath: "dir"}, nil, codes.FailedPrecondition, ReasonNotAFile},
		"below a file":     {&sandboxv1.UploadChunk_Metadata{CodebaseId: cb, FilePath: "a/x"}, nil, codes.FailedPrecondition, ReasonNotADirectory},
		"too short":        {&sandboxv1.UploadChunk_Metadata{CodebaseId: cb, FilePath: "x", TotalSize: 3}, []string{"ab"}, codes.InvalidArgument, ReasonInvalidField},
		"too long":         {&sandboxv1.UploadChunk_Metadata{CodebaseId: cb, FilePath: "x", TotalSize: 3}, []string{"abcd"}, codes.InvalidArgument, ReasonInvalidField},
		"a mode with more": {&sandboxv1.UploadChunk_Metadata{CodebaseId: cb, FilePath: "x", Mode: 0o4755}, []string{""}, codes.InvalidArgument, ReasonInvalidField},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := f.upload(tt.meta, tt.chunks...)
			wantError(t, err, tt.code, tt.reason)
		})
	}
	download := func(path string) error {
		stream, err := f.codebases.DownloadFile(ctxOf(t), &sandboxv1.DownloadFileRequest{CodebaseId: cb, FilePath: path})
		if err == nil {
			_, err = readChunks(stream)
		}
		return err
	}
	wantError(t, download("nope"), codes.NotFound, ReasonFileNotFound)
	wantError(t, download("dir"), codes.FailedPrecondition, ReasonNotAFile)
	wantError(t, download("../a"), codes.InvalidArgument, ReasonInvalidPath)
	ctx := ctxOf(t)
	if _, err := f.codebases.DeleteCodebase(ctx, &sandboxv1.DeleteCodebaseRequest{CodebaseId: cb}); err != nil {
		t.Fatal(err)
	}
	wantError(t, download("a"), codes.NotFound, ReasonCodebaseNotFound)
	_, err := f.codebases.DeleteCodebase(ctx, &sandboxv1.DeleteCodebaseRequest{CodebaseId: cb})
	wantError(t, err, codes.NotFound, ReasonCodebaseNotFound)
	_, err = f.codebases.GetCodebase(ctx, &sandboxv1.GetCodebaseRequest{CodebaseId: cb})
	wantError(t, err, codes.NotFound, ReasonCodebaseNotFound)
	_, err = f.codebases.CreateCodebase(ctx, &sandboxv1.CreateCodebaseRequest{Name: "a\nb"})
	wantError(t, err, codes.InvalidArgument, ReasonInvalidField)
}
