// Package arch holds the tests that keep ARCHITECTURE.md true: which room may
// import which, which library belongs to whom, what the small binaries link,
// and how long a file may get.
package arch
