package sandbox

// Status is where in its life a sandbox is.
type Status uint8

// The states of a sandbox.
const (
	Pending Status = iota + 1
	Running
	Stopped
	Error
	gone
)

func (s Status) String() string {
	switch s {
	case Pending:
		return "pending"
	case Running:
		return "running"
	case Stopped:
		return "stopped"
	case Error:
		return "error"
	case gone:
		return "gone"
	}
	return "unknown"
}

// event is what moves a sandbox from one status to the next.
type event uint8

const (
	started event = iota + 1
	failed
	stopped
	died
	destroyed
)

type edge struct {
	from Status
	by   event
}

// transitions is the whole of a sandbox's life. What is not here cannot happen.
var transitions = map[edge]Status{
	{Pending, started}: Running,
	{Stopped, started}: Running,
	{Error, started}:   Running,

	{Pending, failed}: Error,
	{Stopped, failed}: Error,
	{Error, failed}:   Error,

	{Running, stopped}: Stopped,
	{Running, died}:    Stopped,

	{Pending, destroyed}: gone,
	{Running, destroyed}: gone,
	{Stopped, destroyed}: gone,
	{Error, destroyed}:   gone,
}

// next returns the status after an event, or false if it cannot happen now.
func (s Status) next(by event) (Status, bool) {
	to, ok := transitions[edge{s, by}]
	return to, ok
}
