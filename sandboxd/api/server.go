package api

import (
	"log/slog"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
	"github.com/agentfense/agentfense/sandboxd/host"
	"github.com/agentfense/agentfense/sandboxd/ingest"
	"github.com/agentfense/agentfense/sandboxd/process"
	"github.com/agentfense/agentfense/sandboxd/sandbox"
	"github.com/agentfense/agentfense/sandboxd/session"
	"github.com/agentfense/agentfense/sandboxd/store"
)

// Config is what a server works with.
type Config struct {
	Sandboxes *sandbox.Registry
	// Sessions is closed by whoever made it, after the sandboxes.
	Sessions *session.Registry
	Store    *store.Store
	Ingester *ingest.Ingester
	// AdminGroup is the group whose members may use everybody's sandboxes and
	// codebases, as root may; nil means root only.
	AdminGroup *uint32
	// Version is what GetInfo reports.
	Version string
	// Losses is the protection that this host cannot give.
	Losses []host.Loss
	Limits Limits
	Log    *slog.Logger
}

// Limits bounds what one call may take. Zero fields mean the default.
type Limits struct {
	// Output is how many bytes Exec keeps of each stream if the call does not
	// say; the rest is dropped and reported as truncated. Default 640 KiB: twice
	// that, as a string with replacements and as exact bytes, stays below the
	// 4 MiB that gRPC clients take by default.
	Output int
	// OutputMax is the most that a call may ask to be kept. Default 16 MiB.
	OutputMax int
	// Kept is how many bytes of output the calls of one user keep at once; what
	// does not fit is dropped and reported as truncated. Default 1 GiB.
	Kept int
	// Message is the size of one request message. Default 16 MiB.
	Message int
	// Inflow is how many bytes the messages of one owner may hold at once: those
	// that are being received and those that calls work on. Default 1 GiB.
	Inflow int64
	// Streams is how many calls one connection may have open. Default 4096.
	Streams uint32
	// Commands is how many commands of one owner may run at once, in all of
	// the owner's sandboxes. Default 4096.
	Commands int
}

func (l Limits) filled() Limits {
	if l.Output == 0 {
		l.Output = 640 << 10
	}
	if l.OutputMax == 0 {
		l.OutputMax = 16 << 20
	}
	if l.Kept == 0 {
		l.Kept = 1 << 30
	}
	if l.Message == 0 {
		l.Message = 16 << 20
	}
	if l.Inflow == 0 {
		l.Inflow = 1 << 30
	}
	if l.Streams == 0 {
		l.Streams = 4096
	}
	if l.Commands == 0 {
		l.Commands = 4096
	}
	return l
}

// Server answers all services.
type Server struct {
	sandboxv1.UnimplementedSandboxServiceServer
	sandboxv1.UnimplementedCodebaseServiceServer
	sandboxv1.UnimplementedProcessServiceServer

	cfg    Config
	health *health.Server
	grpc   *grpc.Server
	// tasks are goroutines that outlive the call that began them: they end
	// with its connection or its sandbox.
	tasks sync.WaitGroup
	// commands are those that run, inputs the bytes that processes in the
	// background were given to read, and kept those of output for answers.
	commands, inputs, kept quota
	inflow                 *inflow
	// newcomers are those that have just begun.
	newcomers newcomers
	// processes are commands in the background.
	processes *process.Table
	outputs   *process.Budget
}

// New returns a server with all services, health and reflection.
func New(cfg Config) *Server {
	cfg.Limits = cfg.Limits.filled()
	s := &Server{
		commands: quota{resource: "commands-per-owner", text: "%d commands run at once, more are not allowed"},
		inputs:   quota{resource: "input-bytes-per-owner", text: "processes in the background may have %d bytes of standard input to begin with"},
		inflow:   newInflow(cfg.Limits.Inflow),
		cfg:      cfg, health: health.NewServer(),
		processes: process.NewTable(), outputs: process.NewBudget(process.MaxOwnerOutput),
	}
	g := grpc.NewServer(
		grpc.Creds(PeerCredentials{flow: s.inflow}),
		grpc.StatsHandler(s.inflow),
		grpc.MaxRecvMsgSize(cfg.Limits.Message),
		grpc.MaxConcurrentStreams(cfg.Limits.Streams),
		grpc.ConnectionTimeout(10*time.Second),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
		grpc.UnknownServiceHandler(unknown),
		grpc.ChainUnaryInterceptor(s.unary),
		grpc.ChainStreamInterceptor(s.stream),
	)
	sandboxv1.RegisterSandboxServiceServer(g, s)
	sandboxv1.RegisterCodebaseServiceServer(g, s)
	sandboxv1.RegisterProcessServiceServer(g, s)
	healthv1.RegisterHealthServer(g, s.health)
	for service := range g.GetServiceInfo() {
		s.health.SetServingStatus(service, healthv1.HealthCheckResponse_SERVING)
	}
	reflection.Register(g)
	s.grpc = g
	return s
}

// Serve answers on a listener, which it closes in the end, until Stop.
func (s *Server) Serve(l net.Listener) error { return s.grpc.Serve(l) }

// Stop refuses new calls, calls wait, and then gives the calls that are left
// some patience before it cuts them off. The sandboxes must have ended when
// wait returns: Stop waits for what belongs to them.
func (s *Server) Stop(wait func(), patience time.Duration) {
	s.health.Shutdown()
	graceful := make(chan struct{})
	go func() {
		defer close(graceful)
		s.grpc.GracefulStop()
	}()
	wait()
	select {
	case <-graceful:
	case <-time.After(patience):
		s.grpc.Stop()
		<-graceful
	}
	s.tasks.Wait()
}
