// Package disk makes file systems of a fixed size, for what must not fill the
// one that it lies on.
//
// A disk is an ext4 file system in a sparse file. Whoever writes to it gets
// ENOSPC when its bytes or its inodes are used up, and nobody else notices.
// [Make] makes the file, [Open] attaches it to a loop device, and [Disk.Mount]
// gives a mount of it that no mount namespace has: it is reached by its
// descriptor, and vanishes with that.
//
// The package promises that one file is never attached twice, however its last
// user ended: that would be two file systems that do not know of each other.
// The kernel detaches a file when nobody uses it any more, so nothing outlives
// a process that is killed.
package disk
