package sandbox

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/agentfense/agentfense/sandboxd/store/tree"
)

const (
	recordName = "sandbox.json"
	// recordVersion changes when an old record can no longer be read.
	recordVersion = 1
	// maxRecord bounds what is read back: 1,000 rules of 4 KiB and labels.
	maxRecord = 16 << 20
)

// record is a sandbox as it is kept on disk.
type record struct {
	Version int `json:"version"`
	Info
	Snapshot string `json:"snapshot"`
	// Committed is the tree of the snapshot with what the sandbox has
	// committed; empty: nothing yet.
	Committed string `json:"committed,omitempty"`
}

// write replaces the record in dir atomically. A crash of the host may lose
// the newest one, never tear it.
func (rec record) write(dir *os.Root) error {
	rec.Version = recordVersion
	rec.Snapshot = rec.Info.Snapshot.String()
	data, err := json.Marshal(rec)
	if err != nil {
		return fmt.Errorf("cannot encode the record: %w", err)
	}
	const temp = recordName + ".new"
	f, err := dir.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("cannot write the record: %w", err)
	}
	_, err = f.Write(data)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = dir.Rename(temp, recordName)
	}
	if err != nil {
		return fmt.Errorf("cannot write the record: %w", err)
	}
	return nil
}

// readRecord returns the record in dir.
func readRecord(dir *os.Root) (record, error) {
	var rec record
	f, err := dir.Open(recordName)
	if err != nil {
		return rec, fmt.Errorf("cannot read the record: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxRecord))
	if err != nil {
		return rec, fmt.Errorf("cannot read the record: %w", err)
	}
	if err := json.Unmarshal(data, &rec); err != nil {
		return rec, fmt.Errorf("cannot decode the record: %w", err)
	}
	if rec.Version != recordVersion {
		return rec, fmt.Errorf("cannot decode the record: version %d, want %d", rec.Version, recordVersion)
	}
	if rec.Info.Snapshot, err = tree.ParseDigest(rec.Snapshot); err != nil {
		return rec, fmt.Errorf("cannot decode the record: %w", err)
	}
	return rec, nil
}
