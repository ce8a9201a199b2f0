package docker

import (
	"context"
	"fmt"
	"strings"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

const (
	// removePatience is how long the end of a sandbox waits for the engine.
	removePatience = 3 * time.Second
	// sweepPatience is how long the engine may take to remove what a predecessor
	// left.
	sweepPatience = 30 * time.Second
	// What could not be removed is tried again after a pause, first the one and
	// in the end the other.
	firstPause = time.Second
	lastPause  = time.Minute
)

// remove removes a container, whose processes have ended or are ended now. If
// the engine cannot, it goes on trying in the background.
func (r *Runtime) remove(id string) {
	ctx, cancel := context.WithTimeout(context.Background(), removePatience)
	defer cancel()
	err := r.engine.removeContainer(ctx, id)
	if err == nil {
		return
	}
	r.cfg.Log.Warn("cannot remove a container yet; trying again", "container", id, "error", err)
	r.tasks.Go(func() {
		for pause := firstPause; ; pause = min(2*pause, lastPause) {
			select {
			case <-time.After(pause):
			case <-r.life.Done():
				return
			}
			ctx, cancel := context.WithTimeout(r.life, sweepPatience)
			err := r.engine.removeContainer(ctx, id)
			cancel()
			if err == nil {
				return
			}
		}
	})
}

// removeContainer returns when a container is gone.
func (e *engine) removeContainer(ctx context.Context, id string) error {
	_, err := e.ContainerRemove(ctx, id, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
	if cerrdefs.IsConflict(err) { // the engine removes it already
		gone := e.ContainerWait(ctx, id, client.ContainerWaitOptions{Condition: container.WaitConditionRemoved})
		select {
		case <-gone.Result:
			return nil
		case err = <-gone.Error:
		}
	}
	if cerrdefs.IsNotFound(err) {
		return nil
	}
	return err
}

// sweep removes what a predecessor left, once. No container is made before.
func (r *Runtime) sweep(ctx context.Context) error {
	r.sweeping.Lock()
	defer r.sweeping.Unlock()
	if r.swept {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, sweepPatience)
	defer cancel()
	if err := r.engine.connect(ctx); err != nil {
		return err
	}
	list, err := r.engine.ContainerList(ctx, client.ContainerListOptions{
		All: true, Filters: client.Filters{}.Add("label", labelOwner+"="+r.cfg.Owner),
	})
	if err != nil {
		return fmt.Errorf("cannot list containers: %w", err)
	}
	for _, c := range list.Items {
		if !r.isOwn(c.Names) {
			continue
		}
		if err := r.engine.removeContainer(ctx, c.ID); err != nil {
			return fmt.Errorf("cannot remove container %s of a predecessor: %w", c.ID, err)
		}
		r.cfg.Log.Warn("removed a container that a predecessor left", "sandbox", c.Labels[labelSandbox])
	}
	r.swept = true
	return nil
}

// isOwn tells by a container's names whether this daemon made it.
func (r *Runtime) isOwn(names []string) bool {
	for _, name := range names {
		if strings.HasPrefix(name, "/"+r.namePrefix()) {
			return true
		}
	}
	return false
}
