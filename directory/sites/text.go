package sites

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"unicode/utf16"
	"unicode/utf8"
)

// Bounds of what is read, over LDAP and from files. A forest of 20,000 subnets is some 10 MB.
const (
	maxEntries = 200_000
	maxBytes   = 256 << 20
)

// readText reads a whole file as UTF-8. Windows also writes UTF-16 (ldifde -u, and everything that
// PowerShell redirects), which begins with a byte order mark.
func readText(r io.Reader) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxBytes+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read: %w", err)
	case len(b) > maxBytes:
		return nil, fmt.Errorf("the file is larger than %d bytes", maxBytes)
	case bytes.HasPrefix(b, []byte{0xff, 0xfe}):
		return fromUTF16(b[2:], binary.LittleEndian)
	case bytes.HasPrefix(b, []byte{0xfe, 0xff}):
		return fromUTF16(b[2:], binary.BigEndian)
	}
	b = bytes.TrimPrefix(b, []byte{0xef, 0xbb, 0xbf})
	if !utf8.Valid(b) {
		return nil, errors.New("the file is neither UTF-8 nor UTF-16 with a byte order mark")
	}
	return b, nil
}

func fromUTF16(b []byte, order binary.ByteOrder) ([]byte, error) {
	if len(b)%2 != 0 {
		return nil, errors.New("the file is UTF-16 and ends in the middle of a character")
	}
	units := make([]uint16, len(b)/2)
	for i := range units {
		units[i] = order.Uint16(b[2*i:])
	}
	return []byte(string(utf16.Decode(units))), nil
}
