package store

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/agentfense/agentfense/sandboxd/store/tree"
)

// The buckets of meta.db. Numbers in keys are big endian.
var (
	bucketCodebases = []byte("codebases") // id -> record
	bucketOrder     = []byte("order")     // number of creation -> id
	bucketRequests  = []byte("requests")  // owner, SHA-256 of the request id -> id
	bucketJournals  = []byte("journals")  // id -> bucket: path -> journalEntry
	bucketUIDs      = []byte("uids")      // owner -> sandbox uid
	bucketUIDOwners = []byte("uidowners") // sandbox uid -> owner
)

func (s *Store) openBuckets() error {
	return s.db.Update(func(tx *bolt.Tx) error {
		for _, name := range [][]byte{
			bucketCodebases, bucketOrder, bucketRequests, bucketJournals, bucketUIDs, bucketUIDOwners,
		} {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return fmt.Errorf("cannot make bucket %s: %w", name, err)
			}
		}
		return nil
	})
}

// record is a Codebase as meta.db has it.
type record struct {
	Name    string    `json:"name"`
	OwnerID string    `json:"owner_id"`
	Owner   uint32    `json:"owner"`
	Head    string    `json:"head"`
	Size    int64     `json:"size"`
	Files   int       `json:"files"`
	Created time.Time `json:"created"`
	Updated time.Time `json:"updated"`
	Order   uint64    `json:"order"`
	Request []byte    `json:"request,omitempty"` // key in requests

	IdleTimeout time.Duration `json:"idle_timeout,omitempty"`
}

func (r record) codebase(id string) (Codebase, error) {
	head, err := tree.ParseDigest(r.Head)
	if err != nil {
		return Codebase{}, fmt.Errorf("%w: head of %s: %w", ErrCorrupt, id, err)
	}
	return Codebase{
		ID: id, Name: r.Name, OwnerID: r.OwnerID, Owner: r.Owner, Head: head,
		Size: r.Size, Files: r.Files, Created: r.Created, Updated: r.Updated, IdleTimeout: r.IdleTimeout,
	}, nil
}

func (r *record) setHead(t *tree.Tree) {
	r.Head, r.Size, r.Files = t.Digest().String(), t.Size(), t.Files()+t.Symlinks()
	r.Updated = time.Now().UTC()
}

func getRecord(tx *bolt.Tx, id string) (record, error) {
	var r record
	data := tx.Bucket(bucketCodebases).Get([]byte(id))
	if data == nil {
		return r, notFound(id)
	}
	if err := json.Unmarshal(data, &r); err != nil {
		return r, fmt.Errorf("%w: record of codebase %s: %w", ErrCorrupt, id, err)
	}
	return r, nil
}

func putRecord(tx *bolt.Tx, id string, r record) error {
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return tx.Bucket(bucketCodebases).Put([]byte(id), data)
}

func notFound(id string) error { return fmt.Errorf("codebase %q: %w", id, ErrNotFound) }

func newID() (string, error) {
	var b [16]byte
	if _, err := rand.Read(b[:]); err != nil {
		return "", err
	}
	return "cb_" + hex.EncodeToString(b[:]), nil
}

func requestKey(owner uint32, requestID string) []byte {
	if requestID == "" {
		return nil
	}
	sum := sha256.Sum256([]byte(requestID))
	return append(key32(owner), sum[:]...)
}

func key32(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }
func key64(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }
