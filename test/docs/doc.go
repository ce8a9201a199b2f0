// Package docs holds the tests that keep the documentation true: every reason
// of an error and every limit is on its page, every link leads somewhere, and
// every command and program in the READMEs runs.
//
// A code block in a README is run unless the HTML comment right above it says
// otherwise:
//
//	<!-- test: skip REASON -->    a fragment, or something that cannot be run
//	<!-- test: exits 3 -->        bash only: the exit code is 3
//	<!-- test: prints TEXT -->    the output contains TEXT
//
// Each bash and python block is run by itself, at the root of a copy of the
// repository, with a daemon at AGENTFENSE_ENDPOINT.
package docs
