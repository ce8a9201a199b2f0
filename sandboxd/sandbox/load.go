package sandbox

import (
	"fmt"
	"io"
	"os"
	"strings"
)

// reasonRestart is why a sandbox that a record calls running is not.
const reasonRestart = "the daemon ended while the sandbox was running"

// load fills the registry from disk. What a crash left half made goes to the
// trash. A record that cannot be read keeps its directory: its sandbox comes
// back as root's, in status Error, for root to look at or destroy.
func (r *Registry) load() error {
	d, err := r.dir.Open(".")
	if err != nil {
		return fmt.Errorf("cannot list the sandboxes: %w", err)
	}
	defer d.Close()
	for {
		names, err := d.Readdirnames(1024)
		for _, name := range names {
			if strings.HasPrefix(name, newPrefix) {
				if err := r.discard(name); err != nil {
					return err
				}
				continue
			}
			r.adopt(r.restore(name))
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("cannot list the sandboxes: %w", err)
		}
	}
}

// restore returns the sandbox whose state directory has this name.
func (r *Registry) restore(name string) *Sandbox {
	rec, err := r.readRecord(name)
	if err == nil && rec.ID != name {
		err = fmt.Errorf("the record is of %s", rec.ID)
	}
	if err != nil {
		r.cfg.Log.Error("cannot restore sandbox", "sandbox", name, "error", err)
		rec = record{Info: Info{ID: name, Status: Error, Reason: err.Error()}}
		return newSandbox(r, rec)
	}
	if rec.Status == Running {
		rec.Status, rec.Reason = Stopped, reasonRestart
	}
	s := newSandbox(r, rec)
	if s.snap, err = r.cfg.Store.Snapshot(rec.Info.Snapshot); err != nil {
		r.cfg.Log.Error("cannot open snapshot", "sandbox", name, "error", err)
		s.info.Status, s.info.Reason = Error, fmt.Sprintf("cannot open the snapshot: %v", err)
	}
	return s
}

func (r *Registry) readRecord(name string) (record, error) {
	dir, err := r.dir.OpenRoot(name)
	if err != nil {
		return record{}, fmt.Errorf("cannot open the state directory: %w", err)
	}
	defer dir.Close()
	return readRecord(dir)
}

// adopt puts a sandbox that exists on disk into the registry.
func (r *Registry) adopt(s *Sandbox) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.known[s.info.ID] = s
	s.useCodebase()
	r.perUID[s.info.Owner]++
	if s.info.RequestID != "" {
		r.request[requestKey{s.info.Owner, s.info.RequestID}] = doneCreation(s)
	}
}

// discard moves a directory below sandboxes/ to the trash.
func (r *Registry) discard(name string) error {
	sandboxes, err := r.dir.OpenFile(".", os.O_RDONLY, 0)
	if err != nil {
		return fmt.Errorf("cannot open the state directory: %w", err)
	}
	defer sandboxes.Close()
	return r.trash.take(sandboxes, name)
}
