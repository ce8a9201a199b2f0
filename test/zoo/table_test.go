package main

import (
	"maps"
	"slices"
	"testing"
)

// A probe counts only if it gets through where nothing stops it, or if no kernel
// of the machines has what it is for; and it may never get through in a sandbox.
func TestEveryProbeIsInBothTables(t *testing.T) {
	var names []string
	for _, p := range probes() {
		names = append(names, p.name)
	}
	slices.Sort(names)
	for name, allowed := range map[string]func(cell string) bool{
		"unconfined": func(cell string) bool { return cell == Leak || cell == None },
		"sandbox":    func(cell string) bool { return cell != Leak && cell != Broken },
	} {
		table, err := readTable(name)
		if err != nil {
			t.Fatal(err)
		}
		if rows := slices.Sorted(maps.Keys(table.rows)); !slices.Equal(rows, names) {
			t.Errorf("table %s has %d probes, there are %d: it lacks or has too much of one", name, len(rows), len(names))
		}
		for probe, cells := range table.rows {
			if !slices.ContainsFunc(cells, func(cell string) bool { return !allowed(cell) }) {
				continue
			}
			t.Errorf("table %s: %s is %v", name, probe, cells)
		}
	}
}
