package api_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"switchpoint/broker"
	"switchpoint/broker/api"
	"switchpoint/directory"
	"switchpoint/internal/covers"
	"switchpoint/internal/realserver"
)

// sambaDirectory is the domain as a [[directory]] that may also change passwords.
func sambaDirectory(t *testing.T, s *realserver.SambaServer) broker.Directory {
	t.Helper()
	secret := filepath.Join(t.TempDir(), "bind")
	if err := os.WriteFile(secret, []byte(s.AdminPassword), 0o600); err != nil {
		t.Fatal(err)
	}
	return broker.Directory{Config: directory.Config{
		Name: "corp", Servers: []string{s.TLSURL}, CA: s.CAFile, BaseDN: s.BaseDN, BindDN: s.AdminUser, BindPassword: "file:" + secret, Timeout: 20 * time.Second,
	}}
}

// step sends one step of a login.
func (s *site) step(t *testing.T, q api.LoginRequest) (status int, out api.LoginResponse) {
	t.Helper()
	body, err := json.Marshal(q)
	if err != nil {
		t.Fatal(err)
	}
	status = s.call(t, http.MethodPost, "/api/v1/login", string(body), nil, &out).StatusCode
	for out.Result == api.ResultWaiting { // a machine at its limit
		poll := out.Poll
		out = api.LoginResponse{}
		status = s.call(t, http.MethodGet, poll, "", nil, &out).StatusCode
	}
	return status, out
}

// TestPromptOfActiveDirectory signs in users of a real domain whose password has to be changed (sub-code
// 773) or has expired (532): the question comes after the right password only, a new one that the domain
// does not take is asked for again, and one that it takes leads to the offers.
func TestPromptOfActiveDirectory(t *testing.T) {
	covers.Req(t, "LG5")
	t.Parallel()
	domain := realserver.Samba(t, realserver.SambaOptions{})
	domain.Tool("domain", "passwordsettings", "set", "--min-pwd-age=0", "--account-lockout-threshold=5")
	for _, user := range []string{"must", "aged"} {
		domain.AddUser(user, "Old-secret-1")
	}
	domain.Ldb("dn: CN=must,CN=Users,"+domain.BaseDN+"\nchangetype: modify\nreplace: pwdLastSet\npwdLastSet: 0\n", "ldbmodify")
	// DSDB_CONTROL_BYPASS_PASSWORD_HASH_OID: the server itself writes this attribute.
	domain.Ldb("dn: CN=aged,CN=Users,"+domain.BaseDN+"\nchangetype: modify\nreplace: pwdLastSet\npwdLastSet: 132000000000000000\n", "ldbmodify",
		"--controls=local_oid:1.3.6.1.4.1.7165.4.3.12:0")
	s := start(t, config{})
	setup := localSetup(t)
	setup.Directories = []broker.Directory{sambaDirectory(t, domain)}
	s.fill(t, setup)
	for user, why := range map[string]string{"must": broker.CodePasswordMustChange, "aged": broker.CodePasswordExpired} {
		promptSteps(t, s, user, why)
		if got := domain.Ldb("", "ldbsearch", "-b", domain.BaseDN, "(sAMAccountName="+user+")", "badPwdCount"); !strings.Contains(got, "badPwdCount: 1\n") {
			t.Errorf("the only wrong password of %s is not counted once by the domain: %s", user, got)
		}
	}
}

// promptSteps is one user's way to the offers.
func promptSteps(t *testing.T, s *site, user, why string) {
	t.Helper()
	q := api.LoginRequest{User: user, Password: "Old-secret-1", Client: api.Client{Name: "tc"}}
	for fresh, code := range map[string]string{"": why, "short": broker.CodePasswordPolicy, q.Password: broker.CodePasswordPolicy} {
		q.NewPassword = fresh
		status, res := s.step(t, q)
		if p := res.Prompt; status != http.StatusOK || res.Result != api.ResultPrompt || p == nil || p.Kind != broker.PromptNewPassword || p.Code != code || p.Text == "" ||
			res.Token != "" || res.Offers != nil {
			t.Fatalf("%s with the new password %q: %d, %+v, %+v", user, fresh, status, res, res.Prompt)
		}
	}
	q.NewPassword = "New-secret-2"
	status, res := s.step(t, q)
	if status != http.StatusOK || res.Result != api.ResultOffers || res.Token == "" || len(res.Offers) == 0 || res.Prompt != nil {
		t.Fatalf("%s with a good new password: %d, %+v", user, status, res)
	}
	if got := s.call(t, http.MethodGet, "/api/v1/offers", "", bearer(res.Token), nil); got.StatusCode != http.StatusOK {
		t.Errorf("the session of %s: %d", user, got.StatusCode)
	}
	if status, res := s.step(t, api.LoginRequest{User: user, Password: "New-secret-2"}); status != http.StatusOK || res.Result != api.ResultOffers {
		t.Errorf("the next sign-in of %s: %d, %+v", user, status, res)
	}
	q = api.LoginRequest{User: user, Password: "a guess", NewPassword: "New-secret-3"}
	status, res = s.step(t, q)
	if r := res.Reason; status != http.StatusUnauthorized || res.Result != api.ResultRefused || r == nil || r.Code != broker.CodeSignInFailed || r.Text == "" || r.Ref == "" {
		t.Fatalf("%s with a wrong password: %d, %+v", user, status, res)
	}
	row, err := s.broker.ExplainRef(t.Context(), res.Reason.Ref)
	if said := strings.Join(row.Reason, "\n"); err != nil || row.User != user || strings.Contains(said, "secret") || strings.Contains(said, "guess") {
		t.Errorf("log row of %s: %+v, %v", user, row, err)
	}
}
