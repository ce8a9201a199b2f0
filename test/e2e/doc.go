// Package e2e tests the daemon as its clients meet it: built programs, a
// socket, real repositories, real tools inside. The tests need root and are
// built with the tag "root". Each daemon has its state and sockets in a fresh
// temporary directory, so that runs at the same time do not meet.
package e2e
