// Command agentfense-worker is PID 1 of every sandbox. Only sandboxd starts it.
package main

import (
	"os"

	"github.com/agentfense/agentfense/sandboxd/worker"
)

func main() { os.Exit(worker.Main()) }
