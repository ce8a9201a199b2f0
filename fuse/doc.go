// Package fuse serves a view: a snapshot as one policy lets a sandbox see it.
//
// A [View] turns a tree and a policy into answers to the kernel, read-only.
// Nothing that it answers depends on an entry that the policy hides: not a
// name, an errno, a count, a size, a time, an inode number or an offset. Two
// snapshots that differ only in hidden entries cannot be told apart through it.
// Timing is not promised.
//
// All verdicts follow from tree and policy, so a View keeps only what it has
// worked out before, and every answer is valid for ever: the kernel may cache
// names, missing names, attributes, links, listings and contents without end,
// and a warm view is not asked at all.
//
// # Levels
//
//	None   ENOENT, absent from listings; a directory above something visible
//	       is a bare directory, mode 0555
//	View   files have mode 0000, directories 0555; reading and readlink answer
//	       EACCES, to root too
//	Read   the permission bits of the snapshot
//	Write  as Read: what changes, changes in an overlay above the view
//
// # Limits
//
// The protocol library answers a lookup of ".go-fuse-epoll-hack" in the root
// by itself, with an empty file that cannot be read.
package fuse
