package isalive

import (
	"strconv"
	"strings"
)

// The address of the page. Query is the name in use, QueryOld the one in old links (AL1).
const (
	Path     = "/index.pl"
	Query    = "action=is_alive"
	QueryOld = "action=cb_status"
)

// The bodies. BodyOK is what appliances look for.
const (
	BodyOK   = "CB_IS_OKAY"
	BodyBusy = "CB_IS_BUSY"
)

// The headers in which load travels (AL5).
const (
	HeaderMode     = "X-Broker-Mode"
	HeaderActive   = "X-Broker-Active"
	HeaderCapacity = "X-Broker-Capacity"
)

// maxMode bounds the mode header; a balancer lists the modes of its pool in it.
const maxMode = 64

// Answer is what the page says at one moment.
type Answer struct {
	// Status is 200 or 503; 0 closes the connection without an answer.
	Status int
	// Mode is the broker's mode, or the modes of a pool with commas; empty leaves it out.
	Mode string
	// Active and Capacity count logins in work and how many fit; below zero leaves them out.
	Active, Capacity int
}

// Body is the text of the page.
func (a Answer) Body() string {
	if a.Status == 200 {
		return BodyOK
	}
	return BodyBusy
}

// Each calls set for every header of the page that does not frame the message.
func (a Answer) Each(set func(name, value string)) {
	set("Content-Type", "text/plain")
	set("Cache-Control", "no-store")
	if a.Mode != "" && CleanMode(a.Mode) == a.Mode {
		set(HeaderMode, a.Mode)
	}
	if a.Active >= 0 {
		set(HeaderActive, strconv.Itoa(a.Active))
	}
	if a.Capacity >= 0 {
		set(HeaderCapacity, strconv.Itoa(a.Capacity))
	}
}

// Bytes is the whole HTTP/1.1 response, which closes the connection; nil for Status 0.
func (a Answer) Bytes() []byte {
	if a.Status == 0 {
		return nil
	}
	line := "HTTP/1.1 503 Service Unavailable\r\n"
	if a.Status == 200 {
		line = "HTTP/1.1 200 OK\r\n"
	}
	b := append(make([]byte, 0, 256), line...)
	put := func(name, value string) {
		b = append(b, name...)
		b = append(b, ": "...)
		b = append(b, value...)
		b = append(b, "\r\n"...)
	}
	a.Each(put)
	put("Content-Length", strconv.Itoa(len(a.Body())))
	put("Connection", "close")
	b = append(b, "\r\n"...)
	return append(b, a.Body()...)
}

// Match says whether an origin-form request target asks for the page. The first action counts;
// other parameters do not matter.
func Match(target string) bool {
	path, query, _ := strings.Cut(target, "?")
	if path != Path {
		return false
	}
	for param := range strings.SplitSeq(query, "&") {
		if strings.HasPrefix(param, "action=") {
			return param == Query || param == QueryOld
		}
	}
	return false
}

// CleanMode gives the mode that a header says, or "" when it is too long or has a character
// that no mode has: what a target says of itself ends up in logs and pages.
func CleanMode(s string) string {
	s = strings.TrimSpace(s)
	if len(s) > maxMode {
		return ""
	}
	for _, r := range s {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != ',' && r != ' ' {
			return ""
		}
	}
	return s
}

// Count reads a number of HeaderActive or HeaderCapacity; -1 when it is none.
func Count(s string) int {
	n, err := strconv.ParseUint(strings.TrimSpace(s), 10, 31)
	if err != nil {
		return -1
	}
	return int(n)
}
