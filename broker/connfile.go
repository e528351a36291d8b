package broker

import (
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// ConnectionFile is what a viewer on the client opens. It never holds a password.
type ConnectionFile struct {
	Name, MIME, Text string
}

// connectionFile writes the file for desktop c and user: as the [[protocol]] of that name says, else
// as the viewers of the built-in protocols read it.
func (t *table) connectionFile(c Candidate, user string) ConnectionFile {
	if p, ok := t.protocols[c.Protocol]; ok {
		return p.connectionFile(c, user)
	}
	switch c.Protocol {
	case ProtocolRDP:
		return rdpFile(c, user)
	case ProtocolICA:
		return icaFile(c, user)
	}
	return uriFile(c, user)
}

// uriFile is a list of one URI (RFC 2483). PCoIP clients take a path that says what to do; neither it
// nor VNC's scheme (RFC 7869) has a place for a user that does not also invite a password.
func uriFile(c Candidate, user string) ConnectionFile {
	u := url.URL{Scheme: c.Protocol, Host: net.JoinHostPort(c.Host, strconv.Itoa(c.Port))}
	switch c.Protocol {
	case ProtocolSSH:
		u.User = url.User(user)
	case ProtocolPCoIP:
		u.Path = "/connect"
	}
	return ConnectionFile{Name: fileName(c.Name) + ".uri", MIME: "text/uri-list", Text: u.String() + "\r\n"}
}

// rdpFile has the settings that matter for reaching the desktop.
func rdpFile(c Candidate, user string) ConnectionFile {
	return textFile(c, "rdp", "application/x-rdp",
		"full address:s:"+net.JoinHostPort(c.Host, strconv.Itoa(c.Port)),
		"username:s:"+oneLine(user),
		"prompt for credentials:i:1",
		"authentication level:i:2",
		"enablecredsspsupport:i:1",
		"screen mode id:i:2",
		"autoreconnection enabled:i:1",
	)
}

// icaFile is a direct connection to one machine, as ICA files of Citrix's Workspace app have it.
func icaFile(c Candidate, user string) ConnectionFile {
	section := fileName(c.Name)
	return textFile(c, "ica", "application/x-ica",
		"[WFClient]", "Version=2", "",
		"[ApplicationServers]", section+"=", "",
		"["+section+"]",
		"Address="+net.JoinHostPort(c.Host, strconv.Itoa(c.Port)),
		"Username="+oneLine(user),
		"TransportDriver=TCP/IP",
		"WinStationDriver=ICA 3.0",
		"InitialProgram=",
	)
}

// textFile is a file of lines.
func textFile(c Candidate, extension, mime string, text ...string) ConnectionFile {
	return ConnectionFile{Name: fileName(c.Name) + "." + extension, MIME: mime, Text: strings.Join(text, "\r\n") + "\r\n"}
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
