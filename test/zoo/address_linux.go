package main

import "unsafe"

// address is where b lies. It must not move: see [arena].
func address(b []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(b))) }
