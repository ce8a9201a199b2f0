package api

import (
	"context"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/agentfense/agentfense/policy"
	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
	"github.com/agentfense/agentfense/sandboxd/runtime"
	"github.com/agentfense/agentfense/sandboxd/sandbox"
)

// maxTimeout is longer than any command lives.
const maxTimeout = 100 * 365 * 24 * time.Hour

// command is a checked ExecRequest.
type command struct {
	run   *sandbox.Run
	spec  runtime.Command
	stdin []byte
	// text is what an error calls the command.
	text string
}

func (c command) about() about { return aboutCommand(c.run.Sandbox().Info()) }

// rules are those that denials refer to.
func (c command) rules() []policy.Rule { return c.run.Sandbox().Info().Rules }

// command checks a request. The sandbox must exist for the caller and run.
func (s *Server) command(ctx context.Context, req *sandboxv1.ExecRequest) (c command, err error) {
	sb, err := s.find(ctx, req.GetSandboxId())
	if err != nil {
		return c, err
	}
	if req.GetCommand() == "" && len(req.GetArgv()) == 0 {
		return c, missing("command")
	}
	if req.GetPty() != nil {
		size, err := sizeOf("pty", req.GetPty())
		if err != nil {
			return c, err
		}
		c.spec.Terminal = &size
	}
	if c.spec.Env, err = environ(req.GetEnv(), req.GetPty() != nil); err != nil {
		return c, err
	}
	if c.spec.Dir, err = workdir(req.GetWorkdir()); err != nil {
		return c, err
	}
	if c.spec.Timeout, err = duration("timeout", req.GetTimeout(), maxTimeout); err != nil {
		return c, err
	}
	if err := checkOutputLimit(req.GetOutputLimit()); err != nil {
		return c, err
	}
	c.stdin = req.GetStdinBytes()
	if len(c.stdin) == 0 {
		c.stdin = []byte(req.GetStdin())
	}
	if c.spec.Argv, err = argv(req); err != nil {
		return c, err
	}
	c.text = req.GetCommand()
	if len(c.spec.Argv) > 0 {
		c.text = strings.Join(c.spec.Argv, " ")
	}
	if c.run, err = sb.Run(); err != nil {
		return c, translate(err, about{sandbox: req.GetSandboxId()})
	}
	c.spec.Timeout = sb.Info().Limits.TimeoutOf(c.spec.Timeout)
	if len(c.spec.Argv) == 0 {
		shell, err := c.run.Shell(ctx)
		if err != nil {
			return c, translate(err, about{sandbox: req.GetSandboxId()})
		}
		c.spec.Argv = []string{shell, "-c", req.GetCommand()}
	}
	return c, nil
}

// argv returns the program and arguments of a request; none for a command.
func argv(req *sandboxv1.ExecRequest) ([]string, error) {
	if len(req.GetArgv()) == 0 {
		return nil, checkArg("command", req.GetCommand())
	}
	if len(req.GetArgv()) > maxArgs {
		return nil, invalid("argv", "%d arguments, at most %d are allowed", len(req.GetArgv()), maxArgs)
	}
	if len(req.GetArgv()[0]) == 0 {
		return nil, invalid("argv", "the program is empty")
	}
	args := make([]string, len(req.GetArgv()))
	for i, a := range req.GetArgv() {
		args[i] = string(a)
		if err := checkArg("argv", args[i]); err != nil {
			return nil, err
		}
	}
	return args, nil
}

func checkArg(field, arg string) error {
	switch {
	case strings.IndexByte(arg, 0) >= 0:
		return invalid(field, "it holds a NUL byte")
	case len(arg) >= maxString:
		return fail(codes.InvalidArgument, ReasonCommandTooLong, "%s: %d bytes in one argument, the kernel takes at most %d", field, len(arg), maxString-1).
			with(keyField, field)
	}
	return nil
}

// environ returns the whole environment of a command, sorted by what is ours
// and what the request adds.
func environ(env map[string]string, terminal bool) ([]string, error) {
	if len(env) > maxEnv {
		return nil, invalid("env", "%d variables, at most %d are allowed", len(env), maxEnv)
	}
	all := slices.DeleteFunc(slices.Clone(sandbox.Environ), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		_, replaced := env[name]
		return replaced || terminal && name == "TERM"
	})
	if _, replaced := env["TERM"]; terminal && !replaced {
		all = append(all, terminalName)
	}
	for _, name := range slices.Sorted(maps.Keys(env)) {
		value := env[name]
		switch {
		case name == "":
			return nil, invalid("env", "a name is empty")
		case strings.ContainsAny(name, "=\x00"):
			return nil, invalid("env", "name %.100q holds '=' or NUL", name)
		case strings.IndexByte(value, 0) >= 0:
			return nil, invalid("env", "the value of %.100q holds a NUL byte", name)
		case len(name)+len(value)+1 >= maxString:
			return nil, invalid("env", "%.100q and its value are longer than the kernel takes", name)
		}
		all = append(all, name+"="+value)
	}
	return all, nil
}

// workdir returns an absolute directory: relative ones start at /workspace.
func workdir(dir string) (string, error) {
	switch {
	case len(dir) > maxPath:
		return "", badPath(dir, "longer than %d bytes", maxPath)
	case strings.IndexByte(dir, 0) >= 0:
		return "", badPath(dir, "it holds a NUL byte")
	case dir == "":
		return workspace, nil
	case path.IsAbs(dir):
		return dir, nil
	}
	return workspace + "/" + dir, nil
}
