package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// complain prints err as one message with the program's name.
func (a *app) complain(err error) {
	fmt.Fprintf(a.stderr, "agentfense: %s\n", printable(strings.TrimRight(message(err), "\n")))
}

// message is what a person reads of err: a status from the daemon without
// grpc's wrapping, but with the stable reason.
func message(err error) string {
	st := statusOf(err)
	if st == nil {
		return err.Error()
	}
	// What stands around the status in a wrapped error is ours: keep it.
	before, after := "", ""
	if inner, ok := errors.AsType[wireError](err); ok {
		before, after, _ = strings.Cut(err.Error(), inner.Error())
	}
	text := st.Message()
	switch st.Code() {
	case codes.Unavailable:
		text = "the daemon went away: " + text
	case codes.Unimplemented:
		text = "the daemon does not know this call yet: " + text
	}
	if reason := reasonOf(err); reason != "" {
		text += " (" + reason + ")"
	}
	return before + text + after
}

// wireError is an error that came from the daemon, or from the connection.
type wireError interface {
	error
	GRPCStatus() *status.Status
}

// statusOf is the daemon's status in err, nil if err is not from a call.
func statusOf(err error) *status.Status {
	if wire, ok := errors.AsType[wireError](err); ok {
		return wire.GRPCStatus()
	}
	return nil
}

// reasonOf is the stable reason in err, empty if it has none.
func reasonOf(err error) string {
	if info := errorInfo(err); info != nil {
		return info.GetReason()
	}
	return ""
}

func errorInfo(err error) *errdetails.ErrorInfo {
	st := statusOf(err)
	if st == nil {
		return nil
	}
	for _, d := range st.Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok {
			return info
		}
	}
	return nil
}

func hasCode(err error, want ...codes.Code) bool {
	st := statusOf(err)
	return st != nil && slices.Contains(want, st.Code())
}
