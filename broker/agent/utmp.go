package agent

import (
	"bytes"
	"encoding/binary"
	"strings"
)

// utmp(5): what of an entry counts here.
const (
	utmpUserProcess = 7
	utmpPID         = 4
	utmpUser        = 44
	utmpUserLen     = 32
)

// utmpEntry is the size of an entry: 64-bit systems that never had a 32-bit userland write wide times.
func utmpEntry(arch string) int {
	switch arch {
	case "arm64", "riscv64", "loong64":
		return 400
	}
	return 384
}

// parseUtmp lists the users of processes that are alive. What is cut off at the end does not count.
func parseUtmp(text []byte, size int, alive func(pid int) bool) []Session {
	var out []Session
	for ; len(text) >= size; text = text[size:] {
		if binary.NativeEndian.Uint16(text) != utmpUserProcess {
			continue
		}
		user, _, _ := bytes.Cut(text[utmpUser:utmpUser+utmpUserLen], []byte{0})
		pid := int(int32(binary.NativeEndian.Uint32(text[utmpPID:])))
		if s := (Session{User: string(user), State: Active}); s.User != "" && line(s.User) && pid > 0 && alive(pid) {
			out = append(out, s)
		}
	}
	return out
}

// parseLogind reads the properties that loginctl shows, sessions apart by empty lines. A session that is
// closing has no user any more.
func parseLogind(text string) []Session {
	var out []Session
	for part := range strings.SplitSeq(strings.ReplaceAll(text, "\r", ""), "\n\n") {
		properties := make(map[string]string)
		for l := range strings.SplitSeq(part, "\n") {
			if k, v, ok := strings.Cut(l, "="); ok {
				properties[k] = v
			}
		}
		s := Session{User: properties["Name"], State: Active}
		switch {
		case s.User == "" || !line(s.User) || !strings.HasPrefix(properties["Class"], "user") || properties["State"] == "closing":
			continue
		case properties["State"] == "online": // logged in and not in the foreground
			s.State = Disconnected
		}
		out = append(out, s)
	}
	return out
}
