package api

import (
	"encoding/base64"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/agentfense/agentfense/sandboxd/sandbox"
)

const (
	defaultPage = 100
	maxPage     = 1000
)

// pageSize returns how many entries a page gets.
func pageSize(asked int32) (int, error) {
	switch {
	case asked < 0:
		return 0, invalid("page_size", "%d is negative", asked)
	case asked == 0:
		return defaultPage, nil
	}
	return min(int(asked), maxPage), nil
}

// A page token is opaque to clients: where the last page ended.
func pageToken(created time.Time, id string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(strconv.FormatInt(created.UnixNano(), 10) + " " + id))
}

func pageCursor(token string) (sandbox.Cursor, error) {
	if token == "" {
		return sandbox.Cursor{}, nil
	}
	bad := fail(codes.InvalidArgument, ReasonInvalidPageToken, "page_token is not one of ours")
	data, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		return sandbox.Cursor{}, bad
	}
	nanos, id, ok := strings.Cut(string(data), " ")
	n, err := strconv.ParseInt(nanos, 10, 64)
	if !ok || err != nil || id == "" {
		return sandbox.Cursor{}, bad
	}
	return sandbox.Cursor{Created: time.Unix(0, n), ID: id}, nil
}

// stamp returns a time for the wire; the zero time is absent.
func stamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}
