package docker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/moby/moby/client"

	"github.com/agentfense/agentfense/sandboxd/runtime"
)

// pullPatience is how long an image may take to arrive.
const pullPatience = 15 * time.Minute

// image is what of an image's configuration has to be known to use none of it.
type image struct {
	// id is the image's digest: a name could mean another one a moment later.
	id      string
	env     []string
	volumes []string
}

// CheckImage returns an error unless name is that of an image, such as
// python:3.11-slim, or a digest.
func CheckImage(name string) error {
	if name == "" {
		return errors.New("the docker runtime needs an image, such as python:3.11-slim")
	}
	if _, err := reference.ParseAnyReference(name); err != nil {
		return fmt.Errorf("%q is not the name of an image", name)
	}
	return nil
}

// image finds an image on the engine, or has it pulled.
func (r *Runtime) image(ctx context.Context, name string) (*image, error) {
	fail := func(err error) (*image, error) { return nil, &runtime.ImageError{Image: name, Err: err} }
	if err := CheckImage(name); err != nil {
		return fail(err)
	}
	ref, err := reference.ParseAnyReference(name)
	if err != nil {
		return fail(err)
	}
	img, err := r.inspect(ctx, ref.String())
	if named, ok := ref.(reference.Named); ok && cerrdefs.IsNotFound(err) {
		if err = r.pull(ctx, reference.TagNameOnly(named).String()); err == nil {
			img, err = r.inspect(ctx, ref.String())
		}
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return fail(err)
	}
	return img, nil
}

func (r *Runtime) inspect(ctx context.Context, ref string) (*image, error) {
	found, err := r.engine.ImageInspect(ctx, ref)
	if err != nil {
		return nil, err
	}
	img := &image{id: found.ID}
	if c := found.Config; c != nil {
		img.env = c.Env
		for path := range c.Volumes {
			img.volumes = append(img.volumes, path)
		}
	}
	return img, nil
}

// pulls are the images that are being pulled, by name.
type pulls struct {
	mu    sync.Mutex
	under map[string]*pull
}

type pull struct {
	done chan struct{} // closed when err is set
	err  error
}

// pull has the engine pull an image. It goes on when ctx ends, for whoever asks
// next; two at once are one.
func (r *Runtime) pull(ctx context.Context, ref string) error {
	r.pulls.mu.Lock()
	p := r.pulls.under[ref]
	if p == nil {
		p = &pull{done: make(chan struct{})}
		if r.pulls.under == nil {
			r.pulls.under = map[string]*pull{}
		}
		r.pulls.under[ref] = p
		r.tasks.Go(func() {
			p.err = r.pullNow(ref)
			r.pulls.mu.Lock()
			delete(r.pulls.under, ref)
			r.pulls.mu.Unlock()
			close(p.done)
		})
	}
	r.pulls.mu.Unlock()
	select {
	case <-p.done:
		return p.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *Runtime) pullNow(ref string) error {
	ctx, cancel := context.WithTimeout(r.life, pullPatience)
	defer cancel()
	progress, err := r.engine.ImagePull(ctx, ref, client.ImagePullOptions{})
	if err == nil {
		err = progress.Wait(ctx)
	}
	if err != nil {
		return fmt.Errorf("it is not on the engine and cannot be pulled: %w", err)
	}
	return nil
}
