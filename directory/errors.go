package directory

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"github.com/go-ldap/ldap/v3"
)

// ErrRefused means that this user may not sign in with this password. The reason is in a
// RefusedError, for logs: users get one generic message (SE2).
var ErrRefused = errors.New("directory refused the login")

// ErrUnavailable means that no server of the directory could answer in time; the same question
// may be answered later.
var ErrUnavailable = errors.New("directory unavailable")

// ErrNoUser means that a search found no entry, or more than one, for a name.
var ErrNoUser = &RefusedError{Code: CodeNoUser}

// Codes of a RefusedError besides the sub-codes of Active Directory.
const (
	CodeNoUser        = "no-user"
	CodeWrongPassword = "wrong-password"
	CodeEmptyPassword = "empty-password"
	CodeBadName       = "bad-name" // empty, too long, or with control characters
	CodeNotAllowed    = "not-allowed"
	// CodePasswordPolicy refuses a new password, or a change of it now: too short, used before,
	// too soon.
	CodePasswordPolicy = "password-policy"
)

// Sub-codes of Active Directory that say more than that a login failed. It gives them after a
// right password only; those of a password policy control of other servers are told by the same.
const (
	CodePasswordExpired    = "532"
	CodePasswordMustChange = "773"
	codeLocked             = "775"
)

// RefusedError says why a login was refused. Code is one of the codes above or a sub-code of
// Active Directory: "525" no such user, "52e" wrong password, "530" not now, "531" not from
// here, "532" password expired, "533" disabled, "701" account expired, "773" password must
// change, "775" locked.
type RefusedError struct{ Code string }

// Error names the code.
func (e *RefusedError) Error() string { return "directory refused the login: " + e.Code }

// Is makes every RefusedError an ErrRefused, and equal to one with the same code.
func (e *RefusedError) Is(target error) bool {
	if target == ErrRefused {
		return true
	}
	other, ok := target.(*RefusedError)
	return ok && other.Code == e.Code
}

// Explain says in words what the code means, for logs and for operators.
func (e *RefusedError) Explain() string {
	switch e.Code {
	case CodeNoUser, "525":
		return "no such user"
	case CodeWrongPassword, "52e":
		return "wrong password"
	case CodeEmptyPassword:
		return "empty password"
	case CodeBadName:
		return "not a possible user name"
	case CodeNotAllowed:
		return "the directory does not let this user bind"
	case CodePasswordPolicy:
		return "the directory's rules do not allow this new password, or a change now"
	case "530":
		return "sign-in is not allowed at this time"
	case "531":
		return "sign-in is not allowed from this workstation"
	case CodePasswordExpired:
		return "password expired"
	case "533":
		return "account disabled"
	case "701":
		return "account expired"
	case CodePasswordMustChange:
		return "password must be changed"
	case codeLocked:
		return "account locked"
	}
	return "code " + e.Code
}

// transportError is a failure of the connection, not an answer: the server did not say anything
// about the question.
type transportError struct {
	err     error
	dial    bool // there was no connection to ask on
	sent    bool // the server may have got the question
	timeout bool // Config.Timeout or the deadline of the caller
}

func (e *transportError) Error() string { return e.err.Error() }
func (e *transportError) Unwrap() error { return e.err }

var errNoAnswer = errors.New("no answer in time")

// verdict is what our side of an operation decided about an answer: no failure of the connection.
type verdict struct{ err error }

func (v *verdict) Error() string { return v.err.Error() }
func (v *verdict) Unwrap() error { return v.err }

// classify sorts what go-ldap returned for an operation whose context is ctx: a transportError,
// the caller's own cancellation, or the server's answer as it is.
func classify(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(ctx.Err(), context.Canceled):
		return ctx.Err()
	case ctx.Err() != nil:
		return &transportError{err: errNoAnswer, timeout: true}
	}
	if _, own := errors.AsType[*verdict](err); own {
		return err
	}
	var answer *ldap.Error
	if !errors.As(err, &answer) {
		return &transportError{err: err}
	}
	switch answer.ResultCode {
	case ldap.ErrorNetwork, ldap.ErrorUnexpectedMessage, ldap.ErrorUnexpectedResponse, ldap.ErrorMalformedPacket,
		ldap.LDAPResultBusy, ldap.LDAPResultUnavailable:
		return &transportError{err: err}
	}
	return err
}

// adCode finds the sub-code in a diagnostic message of Active Directory, such as
// "80090308: LdapErr: DSID-0C09042A, comment: AcceptSecurityContext error, data 52e, v4563".
var adCode = regexp.MustCompile(`(?i)AcceptSecurityContext error, data ([0-9a-f]{3,8})\b`)

// passwordState is what a password policy control says with a bind
// (draft-behera-ldap-password-policy-10, 6.2: the values of error).
type passwordState int8

const (
	passwordSilent     passwordState = -1 // nothing
	passwordExpired    passwordState = 0
	passwordLocked     passwordState = 1
	passwordAfterReset passwordState = 2 // set by an administrator, to be changed
)

// bindResult turns the answer to a user's bind into our errors.
func bindResult(err error, state passwordState) error {
	if err == nil && state == passwordAfterReset {
		return &RefusedError{Code: CodePasswordMustChange} // such a bind may only change the password
	}
	answer, ok := errors.AsType[*ldap.Error](err)
	if err == nil || errors.Is(err, ErrUnavailable) || !ok {
		return err
	}
	switch answer.ResultCode {
	case ldap.LDAPResultInvalidCredentials:
		return &RefusedError{Code: refusedCode(answer, state)}
	case ldap.LDAPResultNoSuchObject, ldap.LDAPResultInvalidDNSyntax:
		return &RefusedError{Code: CodeNoUser}
	case ldap.LDAPResultInappropriateAuthentication, ldap.LDAPResultInsufficientAccessRights, ldap.LDAPResultConstraintViolation:
		return &RefusedError{Code: CodeNotAllowed}
	}
	return fmt.Errorf("bind: %w", err)
}

func refusedCode(answer *ldap.Error, state passwordState) string {
	switch state {
	case passwordExpired:
		return CodePasswordExpired
	case passwordLocked:
		return codeLocked
	case passwordAfterReset:
		return CodePasswordMustChange
	}
	if answer.Err != nil {
		if m := adCode.FindStringSubmatch(answer.Err.Error()); m != nil {
			return strings.ToLower(m[1])
		}
	}
	return CodeWrongPassword
}

// ownFault says that a connection failed for want of something in this process or host, which
// says nothing about the server.
func ownFault(err error) bool {
	return slices.ContainsFunc([]error{syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.ENOBUFS, syscall.EADDRNOTAVAIL},
		func(own error) bool { return errors.Is(err, own) })
}
