package sandboxv1_test

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
)

var update = flag.Bool("update", false, "add what is new to testdata/contract.txt")

const contractFile = "testdata/contract.txt"

// Clients exist that speak what contract.txt lists. Adding is free; a line that
// no longer holds is a broken client.
func TestContractOnlyGrows(t *testing.T) {
	now := contract()
	data, err := os.ReadFile(contractFile)
	if err != nil && !*update {
		t.Fatal(err)
	}
	promised := strings.FieldsFunc(string(data), func(r rune) bool { return r == '\n' })
	for _, line := range promised {
		if !slices.Contains(now, line) {
			t.Errorf("no longer on the wire: %s", line)
		}
	}
	if *update && !t.Failed() {
		if err := os.WriteFile(contractFile, []byte(strings.Join(now, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	for _, line := range now {
		if !slices.Contains(promised, line) {
			t.Errorf("new on the wire: %s (go test ./proto/... -update records it)", line)
		}
	}
}

// contract lists every field, enum value and method, one a line.
func contract() []string {
	var lines []string
	for _, f := range []protoreflect.FileDescriptor{
		sandboxv1.File_sandbox_v1_common_proto,
		sandboxv1.File_sandbox_v1_codebase_proto,
		sandboxv1.File_sandbox_v1_file_proto,
		sandboxv1.File_sandbox_v1_sandbox_proto,
		sandboxv1.File_sandbox_v1_process_proto,
	} {
		lines = append(lines, messages(f.Messages())...)
		lines = append(lines, enums(f.Enums())...)
		for i := range f.Services().Len() {
			methods := f.Services().Get(i).Methods()
			for j := range methods.Len() {
				m := methods.Get(j)
				lines = append(lines, fmt.Sprintf("rpc %s(%s) returns (%s)", m.FullName(),
					stream(m.IsStreamingClient(), m.Input()), stream(m.IsStreamingServer(), m.Output())))
			}
		}
	}
	slices.Sort(lines)
	return lines
}

func messages(all protoreflect.MessageDescriptors) []string {
	var lines []string
	for i := range all.Len() {
		m := all.Get(i)
		lines = append(lines, "message "+string(m.FullName()))
		for j := range m.Fields().Len() {
			f := m.Fields().Get(j)
			lines = append(lines, fmt.Sprintf("field %s = %d %v %s%s", f.FullName(), f.Number(), f.Cardinality(), kind(f), oneof(f)))
		}
		lines = append(lines, messages(m.Messages())...)
		lines = append(lines, enums(m.Enums())...)
	}
	return lines
}

func enums(all protoreflect.EnumDescriptors) []string {
	var lines []string
	for i := range all.Len() {
		values := all.Get(i).Values()
		for j := range values.Len() {
			lines = append(lines, fmt.Sprintf("enum %s.%s = %d", all.Get(i).FullName(), values.Get(j).Name(), values.Get(j).Number()))
		}
	}
	return lines
}

func kind(f protoreflect.FieldDescriptor) string {
	switch {
	case f.Message() != nil:
		return string(f.Message().FullName())
	case f.Enum() != nil:
		return string(f.Enum().FullName())
	default:
		return f.Kind().String()
	}
}

func oneof(f protoreflect.FieldDescriptor) string {
	if f.ContainingOneof() == nil {
		return ""
	}
	return " in " + string(f.ContainingOneof().Name())
}

func stream(is bool, m protoreflect.MessageDescriptor) string {
	if is {
		return "stream " + string(m.FullName())
	}
	return string(m.FullName())
}
