package api

import (
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	sandboxv1 "github.com/agentfense/agentfense/proto/sandbox/v1"
)

func TestACodebaseThatNobodyUsesGoes(t *testing.T) {
	f := newFixture(t)
	ctx := ctxOf(t)
	const idle = time.Second
	create := func(request string) *sandboxv1.Codebase {
		cb, err := f.codebases.CreateCodebase(ctx, &sandboxv1.CreateCodebaseRequest{
			IdleTimeout: durationpb.New(idle), RequestId: request,
		})
		if err != nil {
			t.Fatal(err)
		}
		return cb
	}
	gone, used, kept := create("a"), create("b"), create("c")
	if d := gone.GetIdleTimeout().AsDuration(); d != idle {
		t.Errorf("its idle timeout is %v", d)
	}
	if again := create("a"); again.GetId() != gone.GetId() {
		t.Errorf("the same request made %s and %s", gone.GetId(), again.GetId())
	}
	if cb, err := f.codebases.KeepCodebase(ctx, &sandboxv1.KeepCodebaseRequest{CodebaseId: kept.GetId()}); err != nil || cb.GetIdleTimeout() != nil {
		t.Errorf("KeepCodebase() = %v, %v", cb, err)
	}
	if again := create("c"); again.GetId() != kept.GetId() || again.GetIdleTimeout() != nil {
		t.Errorf("a request that is repeated after KeepCodebase gives %v", again)
	}
	if _, err := f.CreateSandbox(ctx, &sandboxv1.CreateSandboxRequest{CodebaseId: used.GetId()}); err != nil {
		t.Fatal(err)
	}
	exists := func(id string) bool {
		list, err := f.codebases.ListCodebases(ctx, &sandboxv1.ListCodebasesRequest{}) // no use of any
		if err != nil {
			t.Fatal(err)
		}
		for _, cb := range list.GetCodebases() {
			if cb.GetId() == id {
				return true
			}
		}
		return false
	}
	for exists(gone.GetId()) && ctx.Err() == nil {
		time.Sleep(20 * time.Millisecond)
	}
	time.Sleep(idle)
	if !exists(used.GetId()) || !exists(kept.GetId()) {
		t.Error("one that has a sandbox, or that is kept, is gone")
	}
	_, err := f.codebases.GetCodebase(ctx, &sandboxv1.GetCodebaseRequest{CodebaseId: gone.GetId()})
	wantError(t, err, codes.NotFound, ReasonCodebaseNotFound)
	_, err = f.codebases.KeepCodebase(ctx, &sandboxv1.KeepCodebaseRequest{CodebaseId: gone.GetId()})
	wantError(t, err, codes.NotFound, ReasonCodebaseNotFound)
	_, err = f.codebases.CreateCodebase(ctx, &sandboxv1.CreateCodebaseRequest{IdleTimeout: durationpb.New(-1)})
	if status.Code(err) != codes.InvalidArgument {
		t.Errorf("a negative timeout: %v", err)
	}
}
