package runtime

import "fmt"

// UnavailableError means that a runtime cannot be used on this host, as it is.
type UnavailableError struct {
	Runtime string
	Err     error
}

func (e *UnavailableError) Error() string {
	return fmt.Sprintf("the %s runtime is not available: %v", e.Runtime, e.Err)
}

func (e *UnavailableError) Unwrap() error { return e.Err }

// ImageError means that a sandbox's image cannot be had.
type ImageError struct {
	Image string
	Err   error
}

func (e *ImageError) Error() string { return fmt.Sprintf("cannot use image %q: %v", e.Image, e.Err) }
func (e *ImageError) Unwrap() error { return e.Err }
