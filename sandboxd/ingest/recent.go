package ingest

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/agentfense/agentfense/sandboxd/store"
	"github.com/agentfense/agentfense/sandboxd/store/tree"
)

// maxRecent is how many of an owner's uploads are remembered.
const maxRecent = 8

// recentKey names the list of an owner's latest uploads: digests of trees, the
// latest first.
func recentKey(owner uint32) tree.Digest {
	return tree.Sum(binary.LittleEndian.AppendUint32([]byte("AFRECENT\x01"), owner))
}

func readRecent(s *store.Store, owner uint32) []tree.Digest {
	data, err := s.ReadCache(recentKey(owner))
	if err != nil {
		return nil // all content has to be sent
	}
	var list []tree.Digest
	for len(data) >= sha256.Size && len(list) < maxRecent {
		list = append(list, tree.Digest(data[:sha256.Size]))
		data = data[sha256.Size:]
	}
	return list
}

func (u *Upload) remember(d tree.Digest) error {
	list := []tree.Digest{d}
	for _, old := range readRecent(u.store, u.req.Owner) {
		if old != d && len(list) < maxRecent {
			list = append(list, old)
		}
	}
	var data []byte
	for _, d := range list {
		data = append(data, d[:]...)
	}
	return u.store.WriteCache(recentKey(u.req.Owner), data)
}
