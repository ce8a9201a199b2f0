// Package api answers the gRPC services of proto/sandbox/v1.
//
// Handlers check, call and translate; they hold no state of their own. Who
// calls is what the kernel says of the peer of the unix socket; its uid is the
// owner of what it makes, and what belongs to another owner does not exist for
// it. Root and one configured group see everything.
//
// It promises that every error of a handler carries a google.rpc.ErrorInfo with
// domain [Domain] and one of the reasons in reasons.go (a message that is too
// large or no protobuf never gets that far); that output of any size needs
// constant memory; that a client which stops reading stops the command, and
// one which goes away ends it; and that after [Server.Stop] no goroutine of
// its own is left.
package api
