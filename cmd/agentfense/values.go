package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// parseDuration reads "90s", "1h30m", or plain seconds: "90", "0.5".
func parseDuration(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil {
		seconds, ferr := strconv.ParseFloat(s, 64)
		if ferr != nil || math.IsNaN(seconds) || math.Abs(seconds) > math.MaxInt64/float64(time.Second) {
			return 0, fmt.Errorf("%q is not a duration: write 90s, 1h30m or plain seconds", s)
		}
		d = time.Duration(seconds * float64(time.Second))
	}
	if d <= 0 {
		return 0, fmt.Errorf("%q is not a positive duration", s)
	}
	return d, nil
}

// parseBytes reads a size: "512M", "1.5GiB", "1000". Units are powers of 1024.
func parseBytes(s string) (int64, error) {
	num := strings.ToUpper(strings.TrimSpace(s))
	num = strings.TrimSuffix(num, "B")
	num = strings.TrimSuffix(num, "I")
	shift := 0
	if num != "" {
		if i := strings.IndexByte("KMGT", num[len(num)-1]); i >= 0 {
			shift = 10 * (i + 1)
			num = num[:len(num)-1]
		}
	}
	n, err := strconv.ParseFloat(num, 64)
	if err != nil || math.IsNaN(n) {
		return 0, fmt.Errorf("%q is not a size: write 512M, 1.5G or plain bytes", s)
	}
	n *= float64(int64(1) << shift)
	if n < 1 || n >= math.MaxInt64 {
		return 0, fmt.Errorf("%q is not a possible size", s)
	}
	return int64(n), nil
}

// cpuPeriod is the period of ResourceLimits.cpu_quota, in microseconds.
const cpuPeriod = 100_000

// parseCPUs reads a number of CPUs and returns the quota: "1.5" is 150000.
func parseCPUs(s string) (int64, error) {
	n, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(n) || n < 0.01 || n > 100_000 {
		return 0, fmt.Errorf("%q is not a number of CPUs: write 2 or 1.5, at least 0.01", s)
	}
	return int64(n * cpuPeriod), nil
}

// parsePairs reads KEY=value pairs; the last of one key counts.
func parsePairs(pairs []string) (map[string]string, error) {
	env := make(map[string]string, len(pairs))
	for _, pair := range pairs {
		key, value, ok := strings.Cut(pair, "=")
		switch {
		case !ok || key == "":
			return nil, fmt.Errorf("%q is not KEY=value", pair)
		case !utf8.ValidString(pair):
			return nil, fmt.Errorf("%q is not UTF-8", pair)
		}
		env[key] = value
	}
	return env, nil
}

// parsed is a flag whose text a function turns into a value.
type parsed[T any] struct {
	value T
	text  string
	parse func(string) (T, error)
	name  string
}

func newParsed[T any](name string, parse func(string) (T, error)) *parsed[T] {
	return &parsed[T]{parse: parse, name: name}
}

func (p *parsed[T]) String() string { return p.text }
func (p *parsed[T]) Type() string   { return p.name }

func (p *parsed[T]) Set(s string) error {
	v, err := p.parse(s)
	if err != nil {
		return err
	}
	p.value, p.text = v, s
	return nil
}
