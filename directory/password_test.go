package directory

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"switchpoint/internal/covers"
	"switchpoint/internal/realserver"
)

const policyPeople = `dn: cn=policy,dc=company,dc=com
objectClass: device
objectClass: pwdPolicy
cn: policy
pwdAttribute: userPassword
pwdMaxAge: 86400
pwdMinLength: 10
pwdInHistory: 3
pwdCheckQuality: 1
pwdMustChange: TRUE
pwdLockout: TRUE
pwdMaxFailure: 3

dn: uid=fresh,dc=company,dc=com
objectClass: inetOrgPerson
uid: fresh
cn: Fresh
sn: One
userPassword: fresh-secret

dn: uid=old,dc=company,dc=com
objectClass: inetOrgPerson
uid: old
cn: Old
sn: One
userPassword: old-secret
pwdChangedTime: 20200101000000Z

dn: uid=reset,dc=company,dc=com
objectClass: inetOrgPerson
uid: reset
cn: Reset
sn: One
userPassword: reset-secret
pwdReset: TRUE

dn: uid=locked,dc=company,dc=com
objectClass: inetOrgPerson
uid: locked
cn: Locked
sn: One
userPassword: locked-secret
pwdAccountLockedTime: 000001010000Z
`

func TestSlapdPasswordPolicy(t *testing.T) {
	covers.Req(t, "LD2")
	s := realserver.Slapd(t, realserver.SlapdOptions{LDIF: policyPeople, PasswordPolicy: "cn=policy,dc=company,dc=com"})
	cfg := slapdConfig(t, s, s.TLSURL)
	cfg.CA, cfg.Timeout = s.CAFile, 10*time.Second
	c := newClient(t, cfg)
	login := func(user, password, code string) {
		t.Helper()
		_, err := c.Authenticate(t.Context(), user, password, nil)
		if got := refusal(err); got != code {
			t.Errorf("%s with %s: %v, want %q", user, password, err, code)
		}
	}
	change := func(user, old, fresh, code string) {
		t.Helper()
		if err := c.ChangePassword(t.Context(), user, old, fresh); refusal(err) != code {
			t.Errorf("change of %s from %s to %s: %v, want %q", user, old, fresh, err, code)
		}
	}
	login("fresh", "fresh-secret", "")
	login("old", "old-secret", CodePasswordExpired)
	login("old", "wrong", CodeWrongPassword)
	login("reset", "reset-secret", CodePasswordMustChange)
	login("locked", "locked-secret", codeLocked)

	change("nobody", "x", "a-new-secret", CodeNoUser)
	change("fresh", "wrong", "a-new-secret", CodeWrongPassword)
	change("fresh", "fresh-secret", "short", CodePasswordPolicy)
	change("fresh", "fresh-secret", "fresh-secret", CodePasswordPolicy)
	change("fresh", "fresh-secret", "", CodePasswordPolicy)
	change("fresh", "fresh-secret", "nul\x00in-the-new-one", CodePasswordPolicy)
	change("fresh", "", "a-new-secret", CodeEmptyPassword)
	login("fresh", "fresh-secret", "")
	for user, old := range map[string]string{"fresh": "fresh-secret", "old": "old-secret", "reset": "reset-secret"} {
		change(user, old, user+"-new-secret", "")
		login(user, old, CodeWrongPassword)
		login(user, user+"-new-secret", "")
	}
	change("locked", "locked-secret", "locked-new-secret", codeLocked)
	if err := c.Health(); err != nil {
		t.Error(err)
	}
}

// refusal is the code of a refusal, empty for success, or the error's text.
func refusal(err error) string {
	if err == nil {
		return ""
	}
	if refused, ok := errors.AsType[*RefusedError](err); ok {
		return refused.Code
	}
	return err.Error()
}

// Each wrong password counts once against the lock-out, in a change too.
func TestSlapdChangeCountsOnce(t *testing.T) {
	s := realserver.Slapd(t, realserver.SlapdOptions{LDIF: policyPeople, PasswordPolicy: "cn=policy,dc=company,dc=com"})
	cfg := slapdConfig(t, s, s.TLSURL)
	cfg.CA, cfg.Timeout = s.CAFile, 10*time.Second
	c := newClient(t, cfg)
	for range 2 { // the third failure locks
		if err := c.ChangePassword(t.Context(), "fresh", "wrong", "a-new-secret"); refusal(err) != CodeWrongPassword {
			t.Fatal(err)
		}
	}
	if _, err := c.Authenticate(t.Context(), "fresh", "fresh-secret", nil); err != nil {
		t.Errorf("locked after two failures: %v", err)
	}
}

func TestPasswordsDoNotCrossPlainConnections(t *testing.T) {
	s := realserver.Slapd(t, realserver.SlapdOptions{LDIF: people})
	cfg := slapdConfig(t, s, s.URL)
	c := newClient(t, cfg)
	if err := c.ChangePassword(t.Context(), "alice", "alice-secret", "a-new-secret"); err == nil || errors.Is(err, ErrRefused) || errors.Is(err, ErrUnavailable) {
		t.Errorf("plain: %v", err)
	}
	cfg.AllowPlain = true
	if err := newClient(t, cfg).ChangePassword(t.Context(), "alice", "alice-secret", "a-new-secret"); err != nil {
		t.Errorf("allow_plain: %v", err)
	}
	cfg.AllowPlain, cfg.StartTLS, cfg.CA = false, true, s.CAFile
	if err := newClient(t, cfg).ChangePassword(t.Context(), "alice", "a-new-secret", "another-secret"); err != nil {
		t.Errorf("StartTLS: %v", err)
	}
}

func TestChangeResult(t *testing.T) {
	for _, c := range []struct {
		code uint16
		text string
		want string
	}{
		{ldap.LDAPResultConstraintViolation, "00000056: AtrErr: DSID-03191083, #1", CodeWrongPassword},
		{ldap.LDAPResultConstraintViolation, "0000052D: AtrErr: DSID-03191083, #1", CodePasswordPolicy},
		{ldap.LDAPResultConstraintViolation, "00000775: x", codeLocked},
		{ldap.LDAPResultConstraintViolation, "Password fails quality checking policy", CodePasswordPolicy},
		{ldap.LDAPResultUnwillingToPerform, "0000052D: SvcErr: DSID-031A12D2, problem 5003 (WILL_NOT_PERFORM)", CodePasswordPolicy},
		{ldap.LDAPResultUnwillingToPerform, "unwilling to verify old password", CodeWrongPassword},
		{ldap.LDAPResultInvalidCredentials, "", CodeWrongPassword},
	} {
		if got := changeResult(ldap.NewError(c.code, errors.New(c.text))); refusal(got) != c.want {
			t.Errorf("%d %s: %v, want %s", c.code, c.text, got, c.want)
		}
	}
	for _, code := range []uint16{ldap.LDAPResultUnwillingToPerform, ldap.LDAPResultInsufficientAccessRights} {
		if err := changeResult(ldap.NewError(code, errors.New("x"))); err == nil || errors.Is(err, ErrRefused) {
			t.Errorf("code %d: %v", code, err)
		}
	}
	if changeResult(nil) != nil || quoted("aé") != "\"\x00a\x00\xe9\x00\"\x00" {
		t.Error("success, or the form of unicodePwd")
	}
	if err := bindResult(nil, passwordExpired); err != nil {
		t.Errorf("a bind that succeeded is refused: %v", err)
	}
	if strings.Contains((&RefusedError{Code: CodePasswordPolicy}).Explain(), "code") {
		t.Error("no words for password-policy")
	}
}
