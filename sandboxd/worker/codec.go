package worker

import (
	"encoding/binary"
	"errors"
)

var errMalformed = errors.New("malformed message")

// codec writes fields to buf, or reads them from it when decoding, so that one
// list of fields serves both directions.
type codec struct {
	buf    []byte
	decode bool
	err    error
}

func (c *codec) uint(p *uint64) {
	if !c.decode {
		c.buf = binary.AppendUvarint(c.buf, *p)
		return
	}
	v, n := binary.Uvarint(c.buf)
	if n <= 0 {
		c.fail()
		return
	}
	*p, c.buf = v, c.buf[n:]
}

func (c *codec) fail() { c.err, c.buf = errMalformed, nil }

func (c *codec) int(p *int64) {
	v := uint64(*p)
	c.uint(&v)
	*p = int64(v)
}

func (c *codec) u32(p *uint32) {
	v := uint64(*p)
	c.uint(&v)
	if v > 1<<32-1 {
		c.fail()
		return
	}
	*p = uint32(v)
}

func (c *codec) bool(p *bool) {
	var v uint64
	if *p {
		v = 1
	}
	c.uint(&v)
	*p = v != 0
}

func (c *codec) str(p *string) {
	n := uint64(len(*p))
	c.uint(&n)
	if !c.decode {
		c.buf = append(c.buf, *p...)
		return
	}
	if n > uint64(len(c.buf)) {
		c.fail()
		return
	}
	*p, c.buf = string(c.buf[:n]), c.buf[n:]
}

func (c *codec) strs(p *[]string) {
	n := uint64(len(*p))
	c.uint(&n)
	if !c.decode {
		for i := range *p {
			c.str(&(*p)[i])
		}
		return
	}
	if n > uint64(len(c.buf)) { // each takes a byte at least
		c.fail()
		return
	}
	*p = make([]string, n)
	for i := range *p {
		c.str(&(*p)[i])
	}
}
