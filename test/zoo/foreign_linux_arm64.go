package main

// Nothing of the tables was measured on this architecture yet: zoo runs there,
// and what its tables lack shows.

func foreignProbes() []probe { return nil }

var archCalls []raw
