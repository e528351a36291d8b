package broker

import (
	"fmt"
	"strconv"
	"strings"

	"switchpoint/internal/problem"
)

// Protocols of desktops that are built in.
const (
	ProtocolRDP   = "rdp"
	ProtocolSSH   = "ssh"
	ProtocolVNC   = "vnc"
	ProtocolPCoIP = "pcoip"
	ProtocolICA   = "ica"
)

const (
	protocolCure = `write "rdp", "ssh", "vnc", "pcoip", "ica" or the name of a [[protocol]]`
	maxTemplate  = 16 << 10
	defaultMIME  = "application/octet-stream"
)

// builtinPorts are the registered ports of the protocols that are built in.
func builtinPorts() map[string]int {
	return map[string]int{ProtocolRDP: 3389, ProtocolSSH: 22, ProtocolVNC: 5900, ProtocolPCoIP: 4172, ProtocolICA: 1494}
}

// protocolPorts are the default ports of all protocols that desktops of s can have.
func (s Setup) protocolPorts() map[string]int {
	ports := builtinPorts()
	for _, p := range s.Protocols {
		ports[p.Name] = p.Port
	}
	return ports
}

func (s Setup) checkProtocols(l *problem.List) map[string]int {
	seen := make(map[string]string)
	for name := range builtinPorts() {
		seen[name] = "built in"
	}
	for i, p := range s.Protocols {
		path := index("protocol", i)
		checkUnique(l, path, p.Name, seen)
		seen[p.Name] = "protocol"
		if p.Port < 1 || p.Port > 65535 {
			l.Addf(path+".port", "write the port on which its desktops listen", "port %d is not in 1..65535", p.Port)
		}
		if _, err := parseTemplate(p.Template); err != nil {
			l.Addf(path+".template", "use {host}, {port}, {user} and {desktop}, and {{ and }} for braces", "the template of protocol %q: %v", p.Name, err)
		}
		if fileName(p.File) != p.File || p.File == "" || len(p.File) > 16 {
			l.Addf(path+".file", `write the extension without a dot, e.g. "nxs"`, "%q is no extension of a file", p.File)
		}
		if !mediaType(p.MIME) {
			l.Addf(path+".mime", `write a media type, e.g. "application/x-nx"`, "%q is no media type", p.MIME)
		}
	}
	return s.protocolPorts()
}

// mediaType accepts type/subtype (RFC 6838, section 4.2), without parameters.
func mediaType(s string) bool {
	kind, sub, ok := strings.Cut(s, "/")
	plain := func(s string) bool {
		return s != "" && len(s) <= 64 && !strings.ContainsFunc(s, func(r rune) bool {
			return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("!#$&-^_.+", r))
		})
	}
	return ok && plain(kind) && plain(sub)
}

// template is a connection file with places to fill in: text, placeholder, text, ... text.
type template []string

// parseTemplate reads the text of a [[protocol]].
func parseTemplate(text string) (template, error) {
	switch {
	case strings.TrimSpace(text) == "":
		return nil, fmt.Errorf("it is empty")
	case len(text) > maxTemplate:
		return nil, fmt.Errorf("it is longer than %d bytes", maxTemplate)
	}
	var t template
	var plain strings.Builder
	for rest := text; rest != ""; {
		at := strings.IndexAny(rest, "{}")
		if at < 0 {
			plain.WriteString(rest)
			break
		}
		plain.WriteString(rest[:at])
		brace := rest[at]
		rest = rest[at+1:]
		if rest != "" && rest[0] == brace { // {{ or }}
			plain.WriteByte(brace)
			rest = rest[1:]
			continue
		}
		name, after, closed := strings.Cut(rest, "}")
		switch {
		case brace == '}' || !closed:
			return nil, fmt.Errorf("a %q stands alone", string(brace))
		case strings.EqualFold(name, "password"):
			return nil, fmt.Errorf("a password never stands in a connection file")
		case name != "host" && name != "port" && name != "user" && name != "desktop":
			return nil, fmt.Errorf("{%s} is no placeholder", clip(name))
		}
		t = append(t, plain.String(), name)
		plain.Reset()
		rest = after
	}
	return append(t, plain.String()), nil
}

// fill writes the file for desktop c and user. A value keeps to its line.
func (t template) fill(c Candidate, user string) string {
	var out strings.Builder
	for i, part := range t {
		if i%2 == 0 {
			out.WriteString(part)
			continue
		}
		switch part {
		case "host":
			out.WriteString(c.Host)
		case "port":
			out.WriteString(strconv.Itoa(c.Port))
		case "user":
			out.WriteString(oneLine(user))
		case "desktop":
			out.WriteString(oneLine(c.Name))
		}
	}
	return out.String()
}

// protocol is a compiled Protocol.
type protocol struct {
	Protocol
	template
}

func (p protocol) connectionFile(c Candidate, user string) ConnectionFile {
	return ConnectionFile{Name: fileName(c.Name) + "." + p.File, MIME: p.MIME, Text: p.fill(c, user)}
}
