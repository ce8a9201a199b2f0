package docker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/moby/moby/client"

	"github.com/agentfense/agentfense/sandboxd/runtime"
)

// DefaultHost is where an engine listens unless somebody says otherwise.
const DefaultHost = "unix:///var/run/docker.sock"

// pingPatience is how long an engine may take to say that it is there.
const pingPatience = 5 * time.Second

// engine is the client of one engine. It is safe for concurrent use.
type engine struct {
	*client.Client
	host string

	mu    sync.Mutex
	known bool // the API's version has been negotiated
}

func newEngine(host string) (*engine, error) {
	if host == "" {
		host = DefaultHost
	}
	if path, ok := strings.CutPrefix(host, "unix://"); !ok || !strings.HasPrefix(path, "/") {
		return nil, fmt.Errorf("cannot use the engine at %q: want unix:///path, since it must be on this host", host)
	}
	c, err := client.New(client.WithHost(host))
	if err != nil {
		return nil, fmt.Errorf("cannot use the engine at %q: %w", host, err)
	}
	return &engine{Client: c, host: host}, nil
}

// connect asks whether the engine is there, and runs Linux containers.
func (e *engine) connect(ctx context.Context) error {
	bound, cancel := context.WithTimeout(ctx, pingPatience)
	defer cancel()
	e.mu.Lock()
	defer e.mu.Unlock()
	ping, err := e.Ping(bound, client.PingOptions{NegotiateAPIVersion: true, ForceNegotiate: !e.known})
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err == nil && ping.OSType != "linux":
		err = fmt.Errorf("it runs %s containers", ping.OSType)
	case err != nil:
		err = fmt.Errorf("%w: install one (the package docker.io of Debian and Ubuntu, or docker-ce) and start it, or set DOCKER_HOST for sandboxd", cause(err))
	default:
		e.known = true
		return nil
	}
	return &runtime.UnavailableError{Runtime: Name, Err: fmt.Errorf("no usable engine at %s: %w", e.host, err)}
}

// cause is the innermost error: the client's own texts repeat it, and the host.
func cause(err error) error {
	for inner := errors.Unwrap(err); inner != nil; inner = errors.Unwrap(err) {
		err = inner
	}
	return err
}

func (e *engine) close() error { return e.Close() }
