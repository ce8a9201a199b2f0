package sandbox

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"
)

func TestStartsOfAnOwnerTakeTurns(t *testing.T) {
	s := newStarts(2)
	var mu sync.Mutex
	inside, most := 0, 0
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			leave, err := s.enter(t.Context(), 1)
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			inside++
			most = max(most, inside)
			mu.Unlock()
			time.Sleep(time.Millisecond)
			mu.Lock()
			inside--
			mu.Unlock()
			leave()
		})
	}
	all.Wait()
	if most != 2 || len(s.gates) != 0 {
		t.Errorf("%d were inside at once, want 2; %d gates are left", most, len(s.gates))
	}
}

func TestOwnersDoNotWaitForEachOthersStarts(t *testing.T) {
	s := newStarts(1)
	leave, err := s.enter(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	other, err := s.enter(t.Context(), 2)
	if err != nil {
		t.Fatal(err)
	}
	other()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.enter(ctx, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("enter = %v, want context.Canceled", err)
	}
	leave()
	if len(s.gates) != 0 {
		t.Errorf("%d gates are left", len(s.gates))
	}
}

func TestDestroyInterruptsAStartThatWaits(t *testing.T) {
	f := newFixture(t)
	f.starts = newStarts(1)
	leave, err := f.starts.enter(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	defer leave()
	s := f.create()
	result := make(chan error)
	go func() { result <- s.Start(context.Background()) }()
	if err := s.Destroy(context.Background()); err != nil {
		t.Error(err)
	}
	if err := <-result; !errors.Is(err, ErrNotFound) {
		t.Errorf("error of start is %v", err)
	}
}
