package main

import (
	"maps"
	"testing"
	"time"
)

func TestParseDuration(t *testing.T) {
	for name, tt := range map[string]struct {
		text string
		want time.Duration // 0: refused
	}{
		"units":               {"1h30m", 90 * time.Minute},
		"plain seconds":       {"90", 90 * time.Second},
		"fractions":           {"0.5", 500 * time.Millisecond},
		"zero is refused":     {"0", 0},
		"negative is refused": {"-5s", 0},
		"words are refused":   {"soon", 0},
		"NaN is refused":      {"NaN", 0},
		"too long is refused": {"1e300", 0},
		"empty is refused":    {"", 0},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parseDuration(tt.text)
			if got != tt.want || (err != nil) != (tt.want == 0) {
				t.Errorf("parseDuration(%q) = %v, %v, want %v", tt.text, got, err, tt.want)
			}
		})
	}
}

func TestParseBytes(t *testing.T) {
	for name, tt := range map[string]struct {
		text string
		want int64 // 0: refused
	}{
		"plain bytes":           {"1000", 1000},
		"a unit of 1024":        {"512M", 512 << 20},
		"lower case":            {"2g", 2 << 30},
		"with B":                {"2GB", 2 << 30},
		"with iB":               {"2GiB", 2 << 30},
		"fractions":             {"1.5G", 3 << 29},
		"bytes spelled out":     {"7B", 7},
		"only a unit":           {"M", 0},
		"empty":                 {"", 0},
		"zero":                  {"0", 0},
		"negative":              {"-1M", 0},
		"too large":             {"9999999999T", 0},
		"another unit":          {"3x", 0},
		"infinity is no size":   {"inf", 0},
		"a number is no number": {"nan", 0},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parseBytes(tt.text)
			if got != tt.want || (err != nil) != (tt.want == 0) {
				t.Errorf("parseBytes(%q) = %v, %v, want %v", tt.text, got, err, tt.want)
			}
		})
	}
}

func TestParseCPUs(t *testing.T) {
	for text, want := range map[string]int64{
		"1.5": 150_000, "2": 200_000, "0.01": 1000, "0": 0, "-1": 0, "all": 0, "inf": 0, "0.001": 0,
	} {
		got, err := parseCPUs(text)
		if got != want || (err != nil) != (want == 0) {
			t.Errorf("parseCPUs(%q) = %v, %v, want %v", text, got, err, want)
		}
	}
}

func TestParsePairs(t *testing.T) {
	for name, tt := range map[string]struct {
		pairs []string
		want  map[string]string // nil: refused
	}{
		"the last of one key counts":      {[]string{"A=1", "A=2"}, map[string]string{"A": "2"}},
		"only the first = splits":         {[]string{"A=b=c"}, map[string]string{"A": "b=c"}},
		"an empty value is a value":       {[]string{"A="}, map[string]string{"A": ""}},
		"a name alone is refused":         {[]string{"A"}, nil},
		"a value alone is refused":        {[]string{"=a"}, nil},
		"what is not UTF-8 is refused":    {[]string{"A=\xff"}, nil},
		"nothing is an empty environment": {nil, map[string]string{}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parsePairs(tt.pairs)
			if !maps.Equal(got, tt.want) || (err != nil) != (tt.want == nil) {
				t.Errorf("parsePairs(%q) = %q, %v, want %q", tt.pairs, got, err, tt.want)
			}
		})
	}
}

func TestSize(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 3 << 29: "1.5 GiB", 1<<63 - 1: "8.0 EiB"} {
		if got := size(n); got != want {
			t.Errorf("size(%d) = %q, want %q", n, got, want)
		}
	}
}
