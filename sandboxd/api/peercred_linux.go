package api

import (
	"context"
	"errors"
	"fmt"
	"net"
	"unsafe"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc/credentials"
)

// PeerCredentials lets only unix sockets in, and asks the kernel who connected.
// Nothing is exchanged: to the client the connection is a plain one.
type PeerCredentials struct{ flow *inflow }

// ServerHandshake returns the connection with a [Caller].
func (p PeerCredentials) ServerHandshake(conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	c, err := peerOf(conn)
	if err != nil {
		conn.Close()
		return nil, nil, err
	}
	if p.flow == nil {
		return conn, c, nil
	}
	c.conn = p.flow.count(conn, c.UID)
	return c.conn, c, nil
}

// ClientHandshake always fails: these credentials are a server's.
func (PeerCredentials) ClientHandshake(context.Context, string, net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, errors.New("peer credentials are for servers")
}

// Info describes the protocol.
func (PeerCredentials) Info() credentials.ProtocolInfo {
	return credentials.ProtocolInfo{SecurityProtocol: "peercred"}
}

// Clone returns a copy.
func (p PeerCredentials) Clone() credentials.TransportCredentials { return p }

// OverrideServerName does nothing.
func (PeerCredentials) OverrideServerName(string) error { return nil }

func peerOf(conn net.Conn) (Caller, error) {
	u, ok := conn.(*net.UnixConn)
	if !ok {
		return Caller{}, fmt.Errorf("cannot identify a peer on %s", conn.LocalAddr().Network())
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return Caller{}, fmt.Errorf("cannot identify the peer: %w", err)
	}
	var c Caller
	var inner error
	err = raw.Control(func(fd uintptr) {
		cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
		if err != nil {
			inner = err
			return
		}
		c = Caller{UID: cred.Uid, GID: cred.Gid, PID: cred.Pid}
		c.Groups, inner = peerGroups(fd)
	})
	if err := errors.Join(err, inner); err != nil {
		return Caller{}, fmt.Errorf("cannot identify the peer: %w", err)
	}
	return c, nil
}

// peerGroups returns SO_PEERGROUPS, which x/sys does not wrap.
func peerGroups(fd uintptr) ([]uint32, error) {
	groups := make([]uint32, 64)
	for {
		size := uint32(len(groups) * 4)
		_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, unix.SO_PEERGROUPS,
			uintptr(unsafe.Pointer(&groups[0])), uintptr(unsafe.Pointer(&size)), 0)
		switch errno {
		case 0:
			return groups[:size/4], nil
		case unix.ERANGE: // size is what it takes
			groups = make([]uint32, size/4+1)
		default:
			return nil, errno
		}
	}
}
