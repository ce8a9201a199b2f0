// Package landlock says a second time, to the kernel's Landlock, what the
// mounts of a sandbox say already: what may change.
//
// [Compile] turns the places that may change and the kernel's ABI into a
// [Ruleset] and the list of what that ABI cannot do, and is pure. [Apply] is
// the one place that confines the process, for good, by one call of
// landlock_restrict_self. It is all or nothing: with a ruleset that the kernel
// cannot hold it fails.
//
// # Rules
//
//	/                              read and execute
//	/workspace, as planned         everything but devices
//	/tmp /dev/shm /home/agent      everything but devices
//	/dev, /proc                    write to what is there
//	/dev/tty /dev/pts              device ioctls
//
// Abstract unix sockets and signals stay inside the sandbox where the ABI has
// scopes, and so do connections to path-name sockets where it knows them. TCP
// is left to the network namespace unless ports are given: servers and tests on
// the loopback are real work.
//
// # What it does not do
//
// Landlock cannot hide: names, attributes and inotify of all files are there
// to see. It cannot take a right away below a directory that gives it, so
// entries that are protected inside a writable directory are protected by
// their read-only mounts alone. A rule on a single file ends when that file is
// replaced.
//
// Apply belongs into a program built without cgo: there the library confines
// all threads with nothing but the kernel's help, and adds no rule of its own.
package landlock
