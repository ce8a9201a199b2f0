// Package worker is everything that runs inside a sandbox before, and beside,
// the programs that it was made for.
//
// The daemon starts the worker's binary in new namespaces with one end of a
// SEQPACKET socket. [Main] then goes through two stages:
//
//   - stage one, as root: it receives a [Setup], builds the sandbox's root out
//     of mounts, moves into it and gives every privilege away;
//   - stage two, as the sandbox's own user: PID 1 of the sandbox, which starts
//     what the daemon asks for, opens files for it, and reaps.
//
// Stage two is as powerless as what it starts, so nothing is gained by taking
// it over. When the socket closes, it ends, and the kernel ends every other
// process of the sandbox with it.
//
// # Trees
//
// A command's tree is the command and all that descends from it. PID 1 runs a
// command itself while it has no other child: then its descendants are that
// command's tree. Otherwise it hands the command to a runner, a copy of itself
// that is the reaper of all that it starts. So killing a command reaches
// double-forked and daemonised children too, and nothing of another command.
//
// The package links neither gRPC nor cgo: its size and start-up time are every
// sandbox's.
package worker
