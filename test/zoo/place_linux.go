package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
)

// Places that zoo runs in.
const (
	placeSandbox = "sandbox"
	placeMachine = "machine"
)

// machineMark is the word on the kernel's command line of a machine that may be
// destroyed.
const machineMark = "agentfense.throwaway=1"

// checkPlace returns an error unless this process can do no harm: it has given
// its privileges away for good, or the kernel was told at boot that its machine
// is there to be destroyed. Neither can be true by accident.
func checkPlace(place string) error {
	switch place {
	case placeSandbox:
		status, err := os.ReadFile("/proc/self/status")
		if err != nil {
			return err
		}
		return checkPowerless(os.Getuid(), string(status))
	case placeMachine:
		line, err := os.ReadFile("/proc/cmdline")
		if err != nil {
			return err
		}
		return checkMachine(string(line))
	}
	return errors.New("say with -in where this is")
}

func checkPowerless(uid int, status string) error {
	if uid == 0 {
		return errors.New("this is root, in no sandbox")
	}
	want := map[string]string{
		"NoNewPrivs": "1", "Seccomp": "2", "CapEff": "0000000000000000", "CapPrm": "0000000000000000", "CapBnd": "0000000000000000",
	}
	for line := range strings.Lines(status) {
		key, value, _ := strings.Cut(line, ":")
		if w, ok := want[key]; ok && strings.TrimSpace(value) == w {
			delete(want, key)
		}
	}
	if len(want) > 0 {
		return fmt.Errorf("this is no sandbox: its status lacks %v", want)
	}
	return nil
}

func checkMachine(commandLine string) error {
	if !slices.Contains(strings.Fields(commandLine), machineMark) {
		return fmt.Errorf("this machine was not started with %s", machineMark)
	}
	return nil
}
