// Package docker tests sandboxes in containers, against an engine of its own.
//
// The tests need root and dockerd (scripts/setup docker), and are built with the
// tag "docker". The engine keeps all that it has below a temporary directory,
// without a network, so that it meets no other of the machine; images are made
// of the host's own files. Some of them are hostile.
package docker
