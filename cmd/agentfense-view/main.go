// The process chooses its number of threads by itself, and keeps no files of
// its cgroup open to do so.
//
//go:debug containermaxprocs=0
//go:debug updatemaxprocs=0

// Command agentfense-view serves one view of a snapshot. Only sandboxd starts
// it.
package main

import (
	"os"

	"github.com/agentfense/agentfense/sandboxd/view/process"
)

func main() { os.Exit(process.Main()) }
