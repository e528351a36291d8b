package gtm

import "encoding/binary"

// Numbers of EDNS options that are read or written.
const (
	optionNSID      = 3  // RFC 5001
	optionSubnet    = 8  // RFC 7871
	optionCookie    = 10 // RFC 7873
	optionKeepalive = 11 // RFC 7828
	optionEDE       = 15 // RFC 8914
	optionVersion   = 19 // ZONEVERSION, RFC 9660
)

// options is what the OPT record of a query asks for. Unknown options are left out (RFC 6891
// section 6.1.2). The slices are parts of the packet.
type options struct {
	nsid         bool
	version      bool
	keepalive    bool
	badKeepalive bool   // counts only over TCP: over UDP the option is ignored (RFC 7828 section 3.2.1)
	cookie       []byte // the first COOKIE option, of good length
	subnet       []byte // the whole data of a good ECS option
	fault        bool   // an option is malformed
}

// readOptions reads the data of an OPT record. The rest after a fault is not read.
func readOptions(data []byte) options {
	var o options
	for len(data) > 0 && !o.fault {
		if len(data) < 4 {
			o.fault = true
			break
		}
		end := 4 + int(binary.BigEndian.Uint16(data[2:]))
		if end > len(data) {
			o.fault = true
			break
		}
		o.read(binary.BigEndian.Uint16(data), data[4:end])
		data = data[end:]
	}
	return o
}

// read takes one option.
func (o *options) read(code uint16, data []byte) {
	switch code {
	case optionNSID:
		o.nsid = true // what a query has in it is ignored (RFC 5001 section 2.1)
	case optionVersion:
		o.version = true
	case optionKeepalive:
		o.keepalive = true
		o.badKeepalive = o.badKeepalive || len(data) > 0 // a query has no time-out
	case optionCookie:
		if o.cookie != nil {
			return // only the first one counts (RFC 7873 section 5.2)
		}
		if o.fault = !goodCookieSize(len(data)); !o.fault {
			o.cookie = data
		}
	case optionSubnet:
		if o.fault = o.subnet != nil || !goodSubnet(data); !o.fault {
			o.subnet = data
		}
	}
}

// goodSubnet checks an ECS option (RFC 7871 section 6): a known family, a prefix within its
// length, scope 0 as in every query, and an address of exactly as many octets as the prefix
// needs, with no bit set beyond it. Family 0 with an empty prefix is what dig sends for "do
// not tell my network".
func goodSubnet(data []byte) bool {
	if len(data) < 4 {
		return false
	}
	var bits int
	switch binary.BigEndian.Uint16(data) {
	case 0:
	case 1:
		bits = 32
	case 2:
		bits = 128
	default:
		return false
	}
	source, scope, addr := int(data[2]), data[3], data[4:]
	if source > bits || scope != 0 || len(addr) != (source+7)/8 {
		return false
	}
	return source%8 == 0 || addr[len(addr)-1]<<(source%8) == 0
}
