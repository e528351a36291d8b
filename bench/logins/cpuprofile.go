package logins

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"switchpoint/bench/adminsocket"
)

// ProfileLine is the CPU of one package.
type ProfileLine struct {
	Package string  `json:"package"`
	Self    float64 `json:"self"` // share of what the process used, in the package's own functions
	All     float64 `json:"all"`  // with what they call
}

// profileAlone takes a CPU profile of the broker while it is at its limit, and sums it up by package.
func (r *run) profileAlone(ctx context.Context, c *chain) error {
	length := max(r.o.Probe, time.Second)
	text := make(chan []byte, 1)
	failed := make(chan error, 1)
	go func() {
		var out bytes.Buffer
		failed <- adminsocket.Get(ctx, c.socket(brokerName(0)), fmt.Sprintf("/debug/pprof/profile?seconds=%d", int(length.Seconds())), &out)
		text <- out.Bytes()
	}()
	v, err := r.aloneRun(ctx, c, length+time.Second)
	if errProfile := <-failed; err == nil {
		err = errProfile
	}
	profile := <-text
	if err != nil {
		return fmt.Errorf("profile of the broker: %w", err)
	}
	r.keep(v)
	if file := r.profileFile("broker"); file != "" {
		if err := os.WriteFile(file, profile, 0o600); err != nil {
			return err
		}
	}
	if r.report.Profile, err = byPackage(profile); err != nil {
		return fmt.Errorf("profile of the broker: %w", err)
	}
	return nil
}

// maxProfile bounds a profile once it is unpacked.
const maxProfile = 64 << 20

// byPackage sums up a CPU profile in the form of pprof: a gzipped protocol buffer
// (github.com/google/pprof/proto/profile.proto).
func byPackage(profile []byte) ([]ProfileLine, error) {
	zip, err := gzip.NewReader(bytes.NewReader(profile))
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(zip, maxProfile))
	if err != nil {
		return nil, err
	}
	var p parsedProfile
	if err := p.read(text); err != nil {
		return nil, err
	}
	return p.lines(), nil
}

// parsedProfile is what is needed of a profile.
type parsedProfile struct {
	samples   []profileSample
	locations map[uint64][]uint64 // to functions, innermost first
	functions map[uint64]uint64   // to names
	texts     []string
}

type profileSample struct {
	stack []uint64 // locations, innermost first
	value uint64   // the last of its kinds: nanoseconds of CPU
}

// Numbers of the fields.
const (
	fieldSample, fieldLocation, fieldFunction, fieldText = 2, 4, 5, 6
	fieldStack, fieldValue                               = 1, 2
	fieldID, fieldLine, fieldLineFunction, fieldName     = 1, 4, 1, 2
)

var errProfile = errors.New("it is no profile, or is cut off")

func (p *parsedProfile) read(text []byte) error {
	p.locations, p.functions = make(map[uint64][]uint64), make(map[uint64]uint64)
	return fields(text, func(n int, _ uint64, b []byte) error {
		switch n {
		case fieldSample:
			var s profileSample
			err := fields(b, func(n int, v uint64, b []byte) error {
				switch n {
				case fieldStack:
					return numbers(v, b, func(v uint64) { s.stack = append(s.stack, v) })
				case fieldValue:
					return numbers(v, b, func(v uint64) { s.value = v })
				}
				return nil
			})
			p.samples = append(p.samples, s)
			return err
		case fieldLocation:
			return p.location(b)
		case fieldFunction:
			var id, name uint64
			err := fields(b, func(n int, v uint64, _ []byte) error {
				switch n {
				case fieldID:
					id = v
				case fieldName:
					name = v
				}
				return nil
			})
			p.functions[id] = name
			return err
		case fieldText:
			p.texts = append(p.texts, string(b))
		}
		return nil
	})
}

func (p *parsedProfile) location(b []byte) error {
	var id uint64
	var functions []uint64
	err := fields(b, func(n int, v uint64, b []byte) error {
		switch n {
		case fieldID:
			id = v
		case fieldLine:
			return fields(b, func(n int, v uint64, _ []byte) error {
				if n == fieldLineFunction {
					functions = append(functions, v)
				}
				return nil
			})
		}
		return nil
	})
	p.locations[id] = functions
	return err
}

// lines sums up by package, the largest first.
func (p *parsedProfile) lines() []ProfileLine {
	self, all := make(map[string]float64), make(map[string]float64)
	sum := 0.0
	for _, s := range p.samples {
		value := float64(s.value)
		sum += value
		seen := make(map[string]bool)
		for _, at := range s.stack {
			for _, f := range p.locations[at] {
				name := p.packageOf(f)
				if len(seen) == 0 {
					self[name] += value
				}
				if !seen[name] {
					seen[name] = true
					all[name] += value
				}
			}
		}
	}
	var out []ProfileLine
	for _, name := range slices.Sorted(maps.Keys(all)) {
		const least = 0.01
		if all[name] >= least*sum {
			out = append(out, ProfileLine{name, self[name] / sum, all[name] / sum})
		}
	}
	slices.SortStableFunc(out, func(a, b ProfileLine) int { return cmp.Compare(b.Self, a.Self) })
	return out
}

// packageOf is the package of a function, such as "switchpoint/broker" of
// "switchpoint/broker.(*Broker).Login".
func (p *parsedProfile) packageOf(function uint64) string {
	i := p.functions[function]
	if i >= uint64(len(p.texts)) {
		return "?"
	}
	name := p.texts[i]
	slash := strings.LastIndexByte(name, '/') + 1
	if dot := strings.IndexByte(name[slash:], '.'); dot >= 0 {
		name = name[:slash+dot]
	}
	return name
}

// fields calls f for each field of a protocol buffer: v of numbers, b of what has a length.
func fields(text []byte, f func(n int, v uint64, b []byte) error) error {
	for len(text) > 0 {
		key, size := binary.Uvarint(text)
		if size <= 0 {
			return errProfile
		}
		text = text[size:]
		var v uint64
		var b []byte
		switch key & 7 {
		case 0:
			if v, size = binary.Uvarint(text); size <= 0 {
				return errProfile
			}
		case 1:
			size = 8
		case 5:
			size = 4
		case 2:
			length, head := binary.Uvarint(text)
			if head <= 0 || length > uint64(len(text)-head) {
				return errProfile
			}
			size = head + int(length)
			b = text[head:size]
		default:
			return errProfile
		}
		if size > len(text) {
			return errProfile
		}
		if err := f(int(key>>3), v, b); err != nil {
			return err
		}
		text = text[size:]
	}
	return nil
}

// numbers calls f for each number of a field that may repeat: one, or packed ones.
func numbers(v uint64, b []byte, f func(uint64)) error {
	if b == nil {
		f(v)
		return nil
	}
	for len(b) > 0 {
		n, size := binary.Uvarint(b)
		if size <= 0 {
			return errProfile
		}
		f(n)
		b = b[size:]
	}
	return nil
}
