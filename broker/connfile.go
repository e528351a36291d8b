package broker

import (
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// Protocols of desktops.
const (
	ProtocolRDP = "rdp"
	ProtocolSSH = "ssh"
	ProtocolVNC = "vnc"
)

// defaultPort is the registered port of a protocol, 0 for an unknown one.
func defaultPort(protocol string) int {
	switch protocol {
	case ProtocolRDP:
		return 3389
	case ProtocolSSH:
		return 22
	case ProtocolVNC:
		return 5900
	}
	return 0
}

// ConnectionFile is what a viewer on the client opens. It never holds a password.
type ConnectionFile struct {
	Name, MIME, Text string
}

// connectionFile writes the file for desktop c and user. RDP desktops get an .rdp file with the
// settings that matter for reaching it; ssh and vnc a URI (RFC 2483 list of one).
func connectionFile(c Candidate, user string) ConnectionFile {
	address := net.JoinHostPort(c.Host, strconv.Itoa(c.Port))
	if c.Protocol != ProtocolRDP {
		u := url.URL{Scheme: c.Protocol, Host: address}
		if c.Protocol == ProtocolSSH {
			u.User = url.User(user)
		}
		return ConnectionFile{Name: fileName(c.Name) + ".uri", MIME: "text/uri-list", Text: u.String() + "\r\n"}
	}
	lines := []string{
		"full address:s:" + address,
		"username:s:" + oneLine(user),
		"prompt for credentials:i:1",
		"authentication level:i:2",
		"enablecredsspsupport:i:1",
		"screen mode id:i:2",
		"autoreconnection enabled:i:1",
	}
	return ConnectionFile{Name: fileName(c.Name) + ".rdp", MIME: "application/x-rdp", Text: strings.Join(lines, "\r\n") + "\r\n"}
}

// oneLine drops everything that could start a new setting in a line-based file.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0x7f || r == 0x85 || r == 0x2028 || r == 0x2029 {
			return -1
		}
		return r
	}, s)
}

// fileName keeps what is safe in a file name on every client.
func fileName(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' {
			return r
		}
		return '-'
	}, s)
}

func isIPv6(h string) bool {
	a, err := netip.ParseAddr(h)
	return err == nil && a.Is6()
}
