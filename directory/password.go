package directory

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/go-ldap/ldap/v3"
)

// ChangePassword gives a user a new password who knows the old one, which may be expired or have
// to be changed. The change is the user's own, not an administrator's: the directory's rules for
// new passwords hold.
//
// The error is ErrRefused with CodePasswordPolicy when these rules refuse the new password, and
// with the code of a refused login when the old one is not right; else it is as that of
// Authenticate. ErrUnavailable may mean that the password was changed and the answer got lost:
// nothing that holds a password is sent again once it may have reached a server. Passwords do not
// go over a connection that is not encrypted, unless Config.AllowPlain says so.
func (c *Client) ChangePassword(ctx context.Context, user, old, fresh string) error {
	start := time.Now()
	err := c.changePassword(ctx, user, old, fresh)
	c.metrics.observe("change_password", start, err)
	return seldom("change a password", err)
}

func (c *Client) changePassword(ctx context.Context, user, old, fresh string) error {
	if err := checkPassword(old); err != nil {
		return err
	}
	if checkPassword(fresh) != nil || !utf8.ValidString(fresh) {
		return &RefusedError{Code: CodePasswordPolicy}
	}
	order := c.order(ctx)
	entry, err := c.timedFind(ctx, order, user, nil)
	if errors.Is(err, ErrNoUser) {
		if bindErr := c.timedBind(ctx, order, c.nobody(), old); bindErr != nil && !errors.Is(bindErr, ErrRefused) {
			return bindErr
		}
	}
	if err != nil {
		return err
	}
	order = entry.servers(order)
	p := passwordChange{c: c, order: order, dn: entry.DN, old: old, new: fresh}
	if c.isAD(order) {
		return p.byService(ctx)
	}
	if err = p.byUser(ctx); errors.Is(err, &RefusedError{Code: CodePasswordExpired}) {
		return p.byService(ctx) // the old one is right, and the server lets nobody bind with it
	}
	return err
}

func (c *Client) isAD(order []*server) bool {
	for _, s := range order {
		if f := s.facts.Load(); f != nil {
			return f.ad
		}
	}
	return false
}

// passwordChange is one change. Active Directory makes it for whoever knows the old password, over
// the service connection: the user may not be able to bind. Other servers (RFC 3062) take it from
// the user.
type passwordChange struct {
	c            *Client
	order        []*server
	dn, old, new string
}

// byUser binds with the old password and changes it on the same connection.
func (p passwordChange) byUser(ctx context.Context) error {
	var bound bool
	var state passwordState
	err := p.c.operate(ctx, p.order, question{
		pick: bindPool, expect: bindAnswers | extendedAnswers, again: notSent, name: p.dn,
		op: func(s *server, l *ldap.Conn, dn string) (err error) {
			bound = false
			if err := p.allowed(s); err != nil {
				return err
			}
			if state, err = simpleBind(s, l, dn, p.old); err != nil {
				return err
			}
			bound = true
			_, err = l.PasswordModify(ldap.NewPasswordModifyRequest("", p.old, p.new))
			return err
		},
	})
	if bound {
		return changeResult(err)
	}
	return bindResult(err, state)
}

// byService changes it on a service connection.
func (p passwordChange) byService(ctx context.Context) error {
	return changeResult(p.c.operate(ctx, p.order, question{
		pick: searchPool, expect: modifyAnswers | extendedAnswers, again: notSent, name: p.dn,
		op: func(s *server, l *ldap.Conn, dn string) error {
			if err := p.allowed(s); err != nil {
				return err
			}
			if f := s.facts.Load(); f != nil && f.ad {
				req := ldap.NewModifyRequest(dn, nil)
				req.Delete("unicodePwd", []string{quoted(p.old)})
				req.Add("unicodePwd", []string{quoted(p.new)})
				return l.Modify(req)
			}
			_, err := l.PasswordModify(ldap.NewPasswordModifyRequest(dn, p.old, p.new))
			if err == nil {
				ownChoice(l, dn)
			}
			return err
		},
	}))
}

// ownChoice takes back the mark of a password that an administrator has set (pwdReset), which the
// server puts on every change that another account makes: the user has chosen this one. A service
// account that may not do that leaves the user to choose once more.
func ownChoice(l *ldap.Conn, dn string) {
	req := ldap.NewModifyRequest(dn, nil)
	req.Replace("pwdReset", nil)
	_ = l.Modify(req)
}

func (p passwordChange) allowed(s *server) error {
	if s.encrypted || p.c.config.AllowPlain {
		return nil
	}
	return &verdict{errPlain}
}

// errPlain is a fault of the configuration.
var errPlain = errors.New("passwords are not changed over a connection that is not encrypted: use ldaps:// or start_tls, or accept the risk with allow_plain")

// quoted is a value of unicodePwd (MS-ADTS 3.1.1.3.1.5): in quotation marks, UTF-16, little-endian.
func quoted(password string) string {
	var b strings.Builder
	for _, u := range utf16.Encode([]rune(`"` + password + `"`)) {
		b.WriteByte(byte(u))
		b.WriteByte(byte(u >> 8))
	}
	return b.String()
}

// changeResult turns the answer to a change into our errors. Active Directory tells a wrong old
// password and a refused new one apart by the Windows error at the beginning of its text: 56 is
// ERROR_INVALID_PASSWORD, 52D ERROR_PASSWORD_RESTRICTION, 775 ERROR_ACCOUNT_LOCKED_OUT.
func changeResult(err error) error {
	answer, ok := errors.AsType[*ldap.Error](err)
	if err == nil || !ok || errors.Is(err, ErrUnavailable) {
		return err
	}
	text := ""
	if answer.Err != nil {
		text = strings.ToUpper(answer.Err.Error())
	}
	switch answer.ResultCode {
	case ldap.LDAPResultConstraintViolation, ldap.LDAPResultUnwillingToPerform:
		switch {
		case strings.HasPrefix(text, "00000056"):
			return &RefusedError{Code: CodeWrongPassword}
		case strings.HasPrefix(text, "00000775"):
			return &RefusedError{Code: codeLocked}
		case strings.HasPrefix(text, "0000052D"), answer.ResultCode == ldap.LDAPResultConstraintViolation:
			return &RefusedError{Code: CodePasswordPolicy}
		case strings.Contains(text, "OLD PASSWORD"): // OpenLDAP
			return &RefusedError{Code: CodeWrongPassword}
		}
	case ldap.LDAPResultInvalidCredentials:
		return &RefusedError{Code: CodeWrongPassword}
	}
	return fmt.Errorf("the server did not change it: %w", err)
}
