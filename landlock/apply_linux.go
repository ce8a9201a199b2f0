package landlock

import (
	"errors"
	"fmt"

	golandlock "github.com/landlock-lsm/go-landlock/landlock"
	"golang.org/x/sys/unix"
)

// ErrUnsupported means that a ruleset restricts nothing, because it was
// compiled for a kernel without Landlock.
var ErrUnsupported = errors.New("landlock is not available")

// RuleError is a place that a rule could not be made for.
type RuleError struct {
	Path string
	Err  error
}

func (e *RuleError) Error() string {
	return fmt.Sprintf("cannot apply landlock rule for %q: %v", e.Path, e.Err)
}

func (e *RuleError) Unwrap() error { return e.Err }

// Apply confines the process and all that it will start. It cannot be undone.
// It also sets no_new_privs.
//
// The error is [ErrUnsupported], a [*RuleError], or what the kernel said; then
// nothing is confined. A ruleset for a newer ABI than the kernel's fails.
//
// Places are looked up without following links. Nothing else may run in the
// sandbox yet: what it could do between that look and the kernel's is not
// guarded against.
func Apply(set Ruleset) error {
	if set.FS == 0 {
		return fmt.Errorf("cannot apply landlock: %w", ErrUnsupported)
	}
	config, err := golandlock.NewConfig(
		golandlock.AccessFSSet(set.FS),
		golandlock.AccessNetSet(set.Net),
		golandlock.ScopedSet(set.Scope),
	)
	if err != nil {
		return fmt.Errorf("cannot apply landlock: %w", err)
	}
	var rules []golandlock.Rule
	for _, r := range set.Rules {
		there, err := r.there()
		if err != nil {
			return &RuleError{r.Path, err}
		}
		if there {
			rules = append(rules, golandlock.PathAccess(golandlock.AccessFSSet(r.Access), r.Path))
		}
	}
	for _, p := range set.Ports {
		if p.Access&BindTCP != 0 {
			rules = append(rules, golandlock.BindTCP(p.Port))
		}
		if p.Access&ConnectTCP != 0 {
			rules = append(rules, golandlock.ConnectTCP(p.Port))
		}
	}
	if err := config.Restrict(rules...); err != nil {
		return fmt.Errorf("cannot apply landlock: %w", err)
	}
	return nil
}

// there reports whether the rule's path is what the rule is for.
func (r Rule) there() (bool, error) {
	fd, err := unix.Openat2(unix.AT_FDCWD, r.Path, &unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS,
	})
	var st unix.Stat_t
	if err == nil {
		err = unix.Fstat(fd, &st)
		unix.Close(fd)
	}
	format := st.Mode & unix.S_IFMT
	if err == nil && (format == unix.S_IFLNK || (format == unix.S_IFDIR) != r.Dir) {
		if err = unix.ENOTDIR; !r.Dir {
			err = unix.EISDIR
		}
		if format == unix.S_IFLNK {
			err = unix.ELOOP
		}
	}
	switch {
	case err == nil:
		return true, nil
	case r.Planned && (errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.EISDIR) || errors.Is(err, unix.ELOOP)):
		return false, nil
	}
	return false, err
}
