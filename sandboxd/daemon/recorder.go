package daemon

import (
	"github.com/agentfense/agentfense/policy"
	"github.com/agentfense/agentfense/sandboxd/audit"
	"github.com/agentfense/agentfense/sandboxd/host"
	"github.com/agentfense/agentfense/sandboxd/sandbox"
)

// openRecorder starts to watch what sandboxes are refused. Not being able to is
// a loss.
func (d *daemon) openRecorder() (err error) {
	if d.losses, err = host.Losses(); err != nil {
		return err
	}
	recorder, err := audit.OpenRecorder(d.opt.Log)
	if err == nil {
		d.recorder = recorderAdapter{recorder}
		d.onClose(recorder.Close)
	} else {
		d.opt.Log.Warn("cannot watch sandboxes", "error", err)
		d.losses = append(d.losses, host.LossNamed(host.LossDenials))
	}
	for _, l := range d.losses {
		d.opt.Log.Warn("this host lacks a protection", "loss", l.Name, "consequence", l.Consequence, "fix", l.Fix)
	}
	return nil
}

// recorderAdapter makes an audit.Recorder what the registry wants.
type recorderAdapter struct{ r *audit.Recorder }

func (a recorderAdapter) Watch(pid int, pol *policy.Policy) (sandbox.Watch, error) {
	w, err := a.r.Watch(pid, pol)
	if err != nil {
		return nil, err
	}
	return w, nil
}
