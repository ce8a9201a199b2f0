package fuse

import (
	"hash/maphash"

	"github.com/agentfense/agentfense/sandboxd/store/tree"
)

// pathHash stands for a path. It depends on nothing but the names in it.
type pathHash uint64

const rootHash pathHash = 0xa0761d6478bd642f

func (h pathHash) child(name string) pathHash {
	const prime = 0x100000001b3
	x := uint64(h)
	for i := range len(name) {
		x = (x ^ uint64(name[i])) * prime
	}
	x ^= x >> 32
	x *= 0xd6e8feb86659fd93
	x ^= x >> 32
	return pathHash(x)
}

// inode returns the inode number of the path: 48 bits, which leaves overlayfs
// the high bits that its xino option needs, and never zero.
func (h pathHash) inode() uint64 {
	const bits = 48
	return max(uint64(h)>>(64-bits), 1)
}

// rootID is the node id that the kernel gives the root of a mount.
const rootID = 1

// nodeIDs turns nodes into the ids by which the kernel calls them, and back.
//
// The kernel shows these ids to anybody, inside file handles
// (name_to_handle_at, fdinfo). A node's index counts the hidden entries before
// it, so ids are a permutation of the indices that only this process knows,
// over a range that says nothing of their number.
type nodeIDs struct {
	rounds [4]maphash.Seed
}

const idFlag = 1 << 32 // keeps ids clear of the root's

func newNodeIDs() *nodeIDs {
	ids := &nodeIDs{}
	for i := range ids.rounds {
		ids.rounds[i] = maphash.MakeSeed()
	}
	return ids
}

func (ids *nodeIDs) id(n tree.Node) uint64 {
	if n == tree.Root {
		return rootID
	}
	left, right := uint16(n>>16), uint16(n)
	for _, seed := range ids.rounds {
		left, right = right, left^uint16(maphash.Comparable(seed, right))
	}
	return idFlag | uint64(left)<<16 | uint64(right)
}

// node is the inverse of id. It returns some number for what is no id.
func (ids *nodeIDs) node(id uint64) tree.Node {
	if id == rootID {
		return tree.Root
	}
	left, right := uint16(id>>16), uint16(id)
	for i := len(ids.rounds) - 1; i >= 0; i-- {
		left, right = right^uint16(maphash.Comparable(ids.rounds[i], left)), left
	}
	return tree.Node(left)<<16 | tree.Node(right)
}
