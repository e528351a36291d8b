package directory

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"
)

// startTLSRequest is the extended request of RFC 4511, 4.14.1, with message id 1.
const startTLSRequest = "\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037"

// maxStartTLS bounds the answer to it.
const maxStartTLS = 64 << 10

// startTLS encrypts a fresh connection. It reads the answer and not a byte more: what somebody in
// the middle puts behind it is no part of the encrypted connection. (go-ldap's own knows no
// context in the handshake.)
func startTLS(ctx context.Context, raw net.Conn, cfg *tls.Config) (*tls.Conn, error) {
	stop := context.AfterFunc(ctx, func() { _ = raw.Close() })
	defer stop()
	if _, err := raw.Write([]byte(startTLSRequest)); err != nil {
		return nil, err
	}
	msg, err := readMessage(raw, nil, maxStartTLS)
	if err != nil {
		return nil, err
	}
	if _, err := checkMessage(msg, extendedAnswers, maxParts); err != nil {
		return nil, err
	}
	answer, err := ber.DecodePacketErr(msg)
	if err != nil {
		return nil, err
	}
	if id, ok := answer.Children[0].Value.(int64); !ok || id != 1 {
		return nil, errors.New("the server answered another question")
	}
	if err := ldap.GetLDAPError(answer); err != nil {
		return nil, err
	}
	encrypted := tls.Client(raw, cfg)
	if err := encrypted.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("TLS: %w", err)
	}
	return encrypted, nil
}
