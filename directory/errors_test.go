package directory

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/go-ldap/ldap/v3"
)

func TestBindResult(t *testing.T) {
	ad := func(sub string) error {
		return ldap.NewError(ldap.LDAPResultInvalidCredentials, fmt.Errorf("80090308: LdapErr: DSID-0C09042A, comment: AcceptSecurityContext error, data %s, v4563", sub))
	}
	for _, c := range []struct {
		err  error
		code string
	}{
		{ad("525"), "525"}, {ad("52e"), "52e"}, {ad("52E"), "52e"}, {ad("530"), "530"}, {ad("531"), "531"}, {ad("532"), "532"},
		{ad("533"), "533"}, {ad("701"), "701"}, {ad("773"), "773"}, {ad("775"), "775"},
		{ldap.NewError(ldap.LDAPResultInvalidCredentials, errors.New("")), CodeWrongPassword},
		{ldap.NewError(ldap.LDAPResultInvalidCredentials, errors.New("data 775")), CodeWrongPassword},
		{ldap.NewError(ldap.LDAPResultNoSuchObject, errors.New("x")), CodeNoUser},
		{ldap.NewError(ldap.LDAPResultInappropriateAuthentication, errors.New("x")), CodeNotAllowed},
	} {
		err := bindResult(c.err, passwordSilent)
		refused, ok := errors.AsType[*RefusedError](err)
		if !ok || refused.Code != c.code || !errors.Is(err, ErrRefused) || refused.Explain() == "" {
			t.Errorf("bindResult(%v) = %v, want code %s", c.err, err, c.code)
		}
	}
	if err := bindResult(nil, passwordSilent); err != nil {
		t.Errorf("success became %v", err)
	}
	// A server that wants another way of signing in is no fault of the user.
	for _, code := range []uint16{ldap.LDAPResultStrongAuthRequired, ldap.LDAPResultConfidentialityRequired, ldap.LDAPResultUnwillingToPerform} {
		if err := bindResult(ldap.NewError(code, errors.New("x")), passwordSilent); err == nil || errors.Is(err, ErrRefused) {
			t.Errorf("result code %d became %v", code, err)
		}
	}
	// A service account with a wrong password is no fault of the user either.
	service := fmt.Errorf("%w: %w", ErrUnavailable, ad("52e"))
	if err := bindResult(service, passwordSilent); errors.Is(err, ErrRefused) || !errors.Is(err, ErrUnavailable) {
		t.Errorf("the service account's refusal became %v", err)
	}
}

func TestClassify(t *testing.T) {
	live := context.Background()
	canceled, cancel := context.WithCancel(live)
	cancel()
	late, cancel := context.WithTimeout(live, 0)
	defer cancel()
	network := ldap.NewError(ldap.ErrorNetwork, errors.New("closed"))
	answer := ldap.NewError(ldap.LDAPResultInvalidCredentials, errors.New("no"))
	for name, c := range map[string]struct {
		ctx                context.Context
		err                error
		transport, timeout bool
	}{
		"success":         {live, nil, false, false},
		"network":         {live, network, true, false},
		"no ldap error":   {live, errors.New("unable to read"), true, false},
		"busy":            {live, ldap.NewError(ldap.LDAPResultBusy, errors.New("x")), true, false},
		"answer":          {live, answer, false, false},
		"too late":        {late, network, true, true},
		"caller has gone": {canceled, network, false, false},
	} {
		err := classify(c.ctx, c.err)
		tr, ok := errors.AsType[*transportError](err)
		if ok != c.transport || ok && tr.timeout != c.timeout {
			t.Errorf("%s: got %v (transport %v)", name, err, ok)
		}
	}
	if err := classify(canceled, network); !errors.Is(err, context.Canceled) {
		t.Errorf("the caller's end became %v", err)
	}
}

func TestOwnFault(t *testing.T) {
	for err, want := range map[error]bool{
		&net.OpError{Op: "dial", Err: os.NewSyscallError("socket", syscall.EMFILE)}:                   true,
		&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.EADDRNOTAVAIL)}:           true,
		&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}:            false,
		&transportError{err: &net.OpError{Op: "dial", Err: os.NewSyscallError("x", syscall.ENOBUFS)}}: true,
	} {
		if ownFault(err) != want {
			t.Errorf("%v: %v", err, !want)
		}
	}
}
