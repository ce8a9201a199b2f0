package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
)

const (
	endpointEnv     = "AGENTFENSE_ENDPOINT"
	defaultEndpoint = "unix:///run/agentfense/api.sock"
	// maxMessage bounds one answer; a diff is the largest.
	maxMessage = 256 << 20
)

// noDaemonError means that nobody listens at the endpoint.
type noDaemonError struct {
	endpoint string
	err      error
}

func (e *noDaemonError) Error() string {
	if errors.Is(e.err, syscall.EACCES) || errors.Is(e.err, syscall.EPERM) {
		return fmt.Sprintf("may not connect to the daemon at %s: permission denied", e.endpoint)
	}
	return fmt.Sprintf("no daemon at %s (%v)\n"+
		"Start one as root, in another terminal or in the background:\n"+
		"    %s\n"+
		"or name the endpoint of a running one with --endpoint or %s.",
		e.endpoint, errnoOf(e.err), daemonCommand(), endpointEnv)
}

func (e *noDaemonError) Unwrap() error { return e.err }

// errnoOf is the errno in err, which says the same in fewer words.
func errnoOf(err error) error {
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return errno
	}
	return err
}

// daemonCommand is what a user types to start the daemon.
func daemonCommand() string {
	path, err := findDaemon()
	if err != nil {
		path = daemonName
	}
	if os.Geteuid() != 0 {
		return "sudo " + path
	}
	return path
}

// endpointOf resolves the endpoint; explicit says that the user chose it.
func (a *app) endpointOf() (endpoint string, explicit bool) {
	if a.endpoint != "" {
		return a.endpoint, true
	}
	if e := os.Getenv(endpointEnv); e != "" {
		return e, true
	}
	return defaultEndpoint, false
}

// socketPath is the path of a unix endpoint.
func socketPath(endpoint string) (string, error) {
	path, isUnix := strings.CutPrefix(endpoint, "unix://")
	if !isUnix {
		path, isUnix = strings.CutPrefix(endpoint, "unix:")
	}
	if !isUnix && !strings.HasPrefix(endpoint, "/") {
		return "", usagef("endpoint %q is not a unix socket: use unix:///path", endpoint)
	}
	if !filepath.IsAbs(path) {
		return "", usagef("endpoint %q: the path of the socket must be absolute", endpoint)
	}
	return path, nil
}

// client speaks to one daemon.
type client struct {
	conn      *grpc.ClientConn
	sandboxes sandboxv1.SandboxServiceClient
	codebases sandboxv1.CodebaseServiceClient
	processes sandboxv1.ProcessServiceClient
}

func (c *client) Close() { _ = c.conn.Close() }

// connect opens the endpoint. It returns a *noDaemonError if nobody listens.
func (a *app) connect(ctx context.Context) (*client, error) {
	endpoint, _ := a.endpointOf()
	return dial(ctx, endpoint)
}

func dial(ctx context.Context, endpoint string) (*client, error) {
	path, err := socketPath(endpoint)
	if err != nil {
		return nil, err
	}
	// grpc connects late and retries; one plain connect tells the errno.
	d := net.Dialer{Timeout: 10 * time.Second}
	probe, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return nil, &noDaemonError{endpoint: endpoint, err: err}
	}
	_ = probe.Close()
	conn, err := grpc.NewClient("passthrough:///agentfense",
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			return d.DialContext(ctx, "unix", path)
		}),
		grpc.WithNoProxy(),
		grpc.WithAuthority("localhost"),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage)))
	if err != nil {
		return nil, fmt.Errorf("cannot use endpoint %s: %w", endpoint, err)
	}
	return &client{
		conn:      conn,
		sandboxes: sandboxv1.NewSandboxServiceClient(conn),
		codebases: sandboxv1.NewCodebaseServiceClient(conn),
		processes: sandboxv1.NewProcessServiceClient(conn),
	}, nil
}
