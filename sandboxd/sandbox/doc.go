// Package sandbox owns the life and death of sandboxes.
//
// A [Registry] holds every sandbox that the daemon knows. Each has a state
// directory with a record, so that after a crash of the daemon it comes back,
// stopped and with its delta, or can be destroyed. All changes of status go
// through one transition table:
//
//	from                     by          to
//	PENDING, STOPPED, ERROR  started     RUNNING
//	PENDING, STOPPED, ERROR  failed      ERROR
//	RUNNING                  stopped     STOPPED
//	RUNNING                  died        STOPPED
//	any                      destroyed   gone
//
// It promises that at most one instance of a sandbox exists at a time, that a
// view is held exactly while an instance runs, that a sandbox's snapshot stays
// pinned until it is destroyed, and that [Registry.Close] leaves no instance
// and no goroutine behind. Who may use which sandbox is the caller's business:
// a sandbox only knows its owner.
package sandbox
