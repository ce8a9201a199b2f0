package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
)

// daemon is a private sandboxd and connections to it.
type daemon struct {
	// lost is what its sandboxes go without.
	lost      []string
	cmd       *exec.Cmd
	exited    chan struct{}
	log       string
	socket    string
	conn      *grpc.ClientConn
	codebases sandboxv1.CodebaseServiceClient
	sandboxes sandboxv1.SandboxServiceClient
}

// startDaemon starts one that keeps its state in dir. It believes that the
// kernel lacks what is lost, and its sandboxes accept that.
func startDaemon(ctx context.Context, o options, dir string, lost ...string) (*daemon, error) {
	d, err := connect(filepath.Join(dir, "run", "api.sock"))
	if err != nil {
		return nil, err
	}
	d.lost, d.log, d.exited = lost, filepath.Join(dir, "log"), make(chan struct{})
	for _, sub := range []string{"state", "run"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o700); err != nil {
			return nil, err
		}
	}
	log, err := os.Create(d.log)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	d.cmd = exec.Command(filepath.Join(o.bin, "sandboxd"),
		"--state-dir", filepath.Join(dir, "state"), "--run-dir", filepath.Join(dir, "run"))
	d.cmd.Stdout, d.cmd.Stderr = log, log
	if o.verbose {
		d.cmd.Stdout, d.cmd.Stderr = os.Stderr, os.Stderr
	}
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := startWithout(d.cmd, lost); err != nil {
		return nil, fmt.Errorf("cannot start the daemon (make build first): %w", err)
	}
	go func() {
		defer close(d.exited)
		_ = d.cmd.Wait()
	}()
	if err := d.await(ctx); err != nil {
		_ = d.stop()
		return nil, err
	}
	return d, nil
}

// connect makes a client of a daemon that may be of somebody else.
func connect(socket string) (*daemon, error) {
	conn, err := grpc.NewClient("unix://"+socket,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(256<<20)))
	if err != nil {
		return nil, err
	}
	return &daemon{
		socket: socket, conn: conn,
		codebases: sandboxv1.NewCodebaseServiceClient(conn),
		sandboxes: sandboxv1.NewSandboxServiceClient(conn),
	}, nil
}

func (d *daemon) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	health := grpc_health_v1.NewHealthClient(d.conn)
	for {
		res, err := health.Check(ctx, &grpc_health_v1.HealthCheckRequest{})
		if err == nil && res.GetStatus() == grpc_health_v1.HealthCheckResponse_SERVING {
			return nil
		}
		select {
		case <-d.exited:
			log, _ := os.ReadFile(d.log)
			return fmt.Errorf("the daemon ended: %s\n%s", d.cmd.ProcessState, log)
		case <-ctx.Done():
			return fmt.Errorf("the daemon does not answer: %w", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (d *daemon) stop() error {
	if d.conn != nil {
		_ = d.conn.Close()
	}
	_ = d.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-d.exited:
		return nil
	case <-time.After(60 * time.Second):
		_ = d.cmd.Process.Kill()
		<-d.exited
		return fmt.Errorf("the daemon did not stop within a minute and was killed")
	}
}

// ingest makes a codebase of a directory, or brings the one with the id up to
// date.
func (d *daemon) ingest(ctx context.Context, id, dir string) (string, error) {
	if id == "" {
		cb, err := d.codebases.CreateCodebase(ctx, &sandboxv1.CreateCodebaseRequest{Name: filepath.Base(dir)})
		if err != nil {
			return "", err
		}
		id = cb.GetId()
	}
	stream, err := d.codebases.IngestDirectory(ctx, &sandboxv1.IngestDirectoryRequest{CodebaseId: id, Directory: []byte(dir)})
	if err != nil {
		return "", err
	}
	for {
		m, err := stream.Recv()
		if err != nil {
			return "", fmt.Errorf("cannot ingest %s: %w", dir, err)
		}
		if m.GetResult() != nil {
			return id, nil
		}
	}
}

// create makes and starts a sandbox. Different words in views give different
// views of the same codebase: a rule that hides nothing.
func (d *daemon) create(ctx context.Context, codebase string, level sandboxv1.Permission, views ...string) (string, error) {
	rules := []*sandboxv1.PermissionRule{{Pattern: "**/*", Permission: level}}
	for _, v := range views {
		rules = append(rules, &sandboxv1.PermissionRule{Pattern: "/.no-such-" + v, Permission: sandboxv1.Permission_PERMISSION_NONE, Priority: 100})
	}
	sb, err := d.sandboxes.CreateSandbox(ctx, &sandboxv1.CreateSandboxRequest{
		CodebaseId: codebase, Permissions: rules, Start: true,
		CommitMode:   sandboxv1.CommitMode_COMMIT_MODE_MANUAL,
		AcceptLosses: d.lost,
	})
	return sb.GetId(), err
}

func (d *daemon) destroy(ctx context.Context, id string) error {
	_, err := d.sandboxes.DestroySandbox(ctx, &sandboxv1.DestroySandboxRequest{SandboxId: id})
	return err
}

// exec runs a command that must succeed and returns what it printed.
func (d *daemon) exec(ctx context.Context, id, command string) (string, error) {
	res, err := d.sandboxes.Exec(ctx, &sandboxv1.ExecRequest{SandboxId: id, Command: command})
	if err != nil {
		return "", err
	}
	if res.GetExitCode() != 0 {
		return "", fmt.Errorf("%q: exit code %d: %s", command, res.GetExitCode(), res.GetStderr())
	}
	return res.GetStdout(), nil
}
