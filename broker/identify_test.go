package broker_test

import (
	"cmp"
	"context"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"

	"switchpoint/broker"
	"switchpoint/broker/sqlite"
	"switchpoint/directory"
	"switchpoint/internal/covers"
	"switchpoint/internal/realserver"
)

// ofSlapd is a real OpenLDAP server as a [[directory]], over TLS.
func ofSlapd(t *testing.T, o realserver.SlapdOptions) (broker.Directory, *realserver.SlapdServer) {
	t.Helper()
	s := realserver.Slapd(t, o)
	secret := filepath.Join(t.TempDir(), "bind")
	if err := os.WriteFile(secret, []byte(s.AdminPassword), 0o600); err != nil {
		t.Fatal(err)
	}
	return broker.Directory{Config: directory.Config{
		Name: "corp", Servers: []string{s.TLSURL}, CA: s.CAFile, BaseDN: s.Suffix, BindDN: s.AdminDN, BindPassword: "file:" + secret, Timeout: 10 * time.Second,
	}}, s
}

func person(uid string) string {
	return fmt.Sprintf("dn: uid=%s,dc=company,dc=com\nobjectClass: inetOrgPerson\nuid: %[1]s\ncn: %[1]s\nsn: %[1]s\nuserPassword: %[1]s-secret\n\n", uid)
}

// TestFailuresTakeAlike: nobody can tell from the time of the answer whether a user exists (SE2), neither with
// a real directory nor with local users, whatever their hashes cost.
func TestFailuresTakeAlike(t *testing.T) {
	covers.Req(t, "SE2")
	t.Parallel()
	const users, tries, together = 100, 400, 16
	var ldif strings.Builder
	for i := range users {
		ldif.WriteString(person(fmt.Sprintf("user%02d", i)))
	}
	corp, _ := ofSlapd(t, realserver.SlapdOptions{LDIF: ldif.String()})
	b := newCluster(t).start(1, nil)
	s := ukSetup(corp)
	b.fill(t, s)
	// Each try of either kind has a client address of its own, so that no limit is met.
	var next atomic.Int32
	failing := func(user string) float64 {
		n := next.Add(1)
		start := time.Now()
		res := b.Login(t.Context(), broker.LoginRequest{User: user, Password: "wrong", ClientAddr: fmt.Sprintf("10.%d.%d.%d", n>>16, n>>8&255, n&255)})
		took := time.Since(start)
		if code(res.Refusal) != broker.CodeSignInFailed {
			t.Errorf("%s: %+v", user, res)
		}
		if took < 300*time.Millisecond {
			t.Errorf("%s was answered after %s", user, took)
		}
		return took.Seconds()
	}
	known := func(i int) string { return fmt.Sprintf("user%02d", i%users) }
	unknown := func(i int) string { return fmt.Sprintf("none%02d", i%users) }
	compareTimes(t, "directory", tries, together, func(i int) float64 { return failing(known(i)) }, func(i int) float64 { return failing(unknown(i)) })
}

// TestLocalFailuresTakeAlike is the same for local users whose hashes cost nothing, or a lot. (One of bcrypt would
// take seconds under the race detector; TestStandIn shows that the kind of a hash plays no part.)
func TestLocalFailuresTakeAlike(t *testing.T) {
	t.Parallel()
	const users, tries, together = 100, 400, 12
	b := newCluster(t).start(1, nil)
	s := ukSetup()
	s.Assignments = nil
	salt := []byte("saltsalt")
	b64 := base64.RawStdEncoding.EncodeToString
	cheap := "$argon2id$v=19$m=8,t=1,p=1$" + b64(salt) + "$" + b64(argon2.IDKey([]byte("right"), salt, 1, 8, 1, 32))
	dear, err := broker.HashPassword("right")
	if err != nil {
		t.Fatal(err)
	}
	for i := range users {
		s.Users = append(s.Users, broker.LocalUser{Name: fmt.Sprintf("user%02d", i), Password: []string{cheap, dear}[i%2]})
	}
	b.fill(t, s)
	var next atomic.Int32
	failing := func(user string) float64 {
		n := next.Add(1)
		start := time.Now()
		if res := b.Login(t.Context(), broker.LoginRequest{User: user, Password: "wrong", ClientAddr: fmt.Sprintf("10.0.%d.%d", n>>8&255, n&255)}); code(res.Refusal) != broker.CodeSignInFailed {
			t.Errorf("%s: %+v", user, res)
		}
		return time.Since(start).Seconds()
	}
	compareTimes(t, "local users", tries, together, func(i int) float64 { return failing(fmt.Sprintf("user%02d", i%users)) },
		func(i int) float64 { return failing(fmt.Sprintf("none%02d", i%users)) })
}

// compareTimes makes tries of both kinds, mixed, and fails when they can be told apart: by the medians, or
// by a threshold, whose quality is the area under its curve (AUC): 0.5 is a coin. Of so many tries, one round
// in 70 is that far off by chance, more on a busy machine; what is true is so each time.
func compareTimes(t *testing.T, what string, tries, together int, a, b func(i int) float64) {
	t.Helper()
	for range 3 {
		auc, apart := measureTimes(tries, together, a, b)
		t.Logf("%s: medians %.2f ms apart, AUC %.3f", what, apart*1000, auc)
		if apart <= 0.002 && apart >= -0.002 && auc >= 0.45 && auc <= 0.55 {
			return
		}
	}
	t.Errorf("%s: wrong passwords and unknown users can be told apart by the time of the answer", what)
}

func measureTimes(tries, together int, a, b func(i int) float64) (auc, apart float64) {
	times := [2][]float64{make([]float64, tries), make([]float64, tries)}
	order := rand.Perm(2 * tries)
	var wg sync.WaitGroup
	for worker := range together {
		wg.Go(func() {
			for j := worker; j < len(order); j += together {
				kind, i := order[j]%2, order[j]/2
				times[kind][i] = []func(int) float64{a, b}[kind](i)
			}
		})
	}
	wg.Wait()
	return separation(times[0], times[1])
}

// separation is the probability that one of a takes longer than one of b, and the difference of the medians.
func separation(a, b []float64) (auc, apart float64) {
	type sample struct {
		took float64
		ofA  bool
	}
	var all []sample
	for _, v := range a {
		all = append(all, sample{v, true})
	}
	for _, v := range b {
		all = append(all, sample{v, false})
	}
	slices.SortFunc(all, func(x, y sample) int { return cmp.Compare(x.took, y.took) })
	below, wins := 0, 0
	for _, s := range all {
		if s.ofA {
			wins += below
		} else {
			below++
		}
	}
	median := func(v []float64) float64 { return slices.Sorted(slices.Values(v))[len(v)/2] }
	return float64(wins) / float64(len(a)*len(b)), median(a) - median(b)
}

// ppolicy is a password policy of OpenLDAP; the password of one of its people was set by somebody else.
const ppolicy = `dn: cn=policy,dc=company,dc=com
objectClass: device
objectClass: pwdPolicy
cn: policy
pwdAttribute: userPassword
pwdMustChange: TRUE
pwdMinLength: 10
pwdCheckQuality: 2
pwdAllowUserChange: TRUE

dn: uid=old,dc=company,dc=com
objectClass: inetOrgPerson
uid: old
cn: old
sn: old
userPassword: old-secret
pwdReset: TRUE

dn: uid=fresh,dc=company,dc=com
objectClass: inetOrgPerson
uid: fresh
cn: fresh
sn: fresh
userPassword: fresh-secret
`

// TestNewPassword goes through the steps of a password that has to be changed: the question, one that the rules
// refuse, one that they take, and the sign-in with it (LG5).
func TestNewPassword(t *testing.T) {
	t.Parallel()
	corp, _ := ofSlapd(t, realserver.SlapdOptions{LDIF: ppolicy, PasswordPolicy: "cn=policy,dc=company,dc=com"})
	b := newCluster(t).start(1, nil)
	s := ukSetup(corp)
	b.fill(t, s)
	old := func(fresh string) broker.LoginResult {
		req := login("old", "old-secret")
		req.NewPassword = fresh
		return b.Login(t.Context(), req)
	}
	wrong := login("old", "guess")
	wrong.NewPassword = "a-much-better-one"
	if res := b.Login(t.Context(), wrong); code(res.Refusal) != broker.CodeSignInFailed || res.Prompt != nil {
		t.Fatalf("a wrong old password: %+v", res)
	}
	for fresh, want := range map[string]string{"": broker.CodePasswordMustChange, "short": broker.CodePasswordPolicy, "old-secret": broker.CodePasswordPolicy, "with-a-\x00-in-it": broker.CodePasswordPolicy} {
		res := old(fresh)
		if res.Prompt == nil || res.Prompt.Code != want || res.Prompt.Kind != broker.PromptNewPassword || res.Prompt.Text == "" || res.Token != "" || res.Refusal != nil {
			t.Fatalf("new password %q: %+v", fresh, res)
		}
		row, err := b.ExplainRef(t.Context(), res.Ref)
		if err != nil || row.Code != want || row.User != "old" {
			t.Errorf("log row: %+v, %v", row, err)
		}
	}
	res := old("a-much-better-one")
	if res.Token == "" || len(res.Offers) == 0 {
		t.Fatalf("with a good new password: %+v", res)
	}
	row, err := b.ExplainRef(t.Context(), res.Ref)
	if err != nil || !strings.Contains(strings.Join(row.Reason, "\n"), "password changed") || strings.Contains(strings.Join(row.Reason, "\n"), "better") {
		t.Errorf("log row: %+v, %v", row, err)
	}
	if res := b.Login(t.Context(), login("old", "a-much-better-one")); res.Token == "" {
		t.Errorf("the next sign-in: %+v", res)
	}
	if res := old(""); code(res.Refusal) != broker.CodeSignInFailed {
		t.Errorf("the old password: %+v", res)
	}
	// A new password that nobody asked for changes nothing.
	req := login("fresh", "fresh-secret")
	req.NewPassword = "not-wanted-at-all"
	if res := b.Login(t.Context(), req); res.Token == "" {
		t.Errorf("%+v", res)
	}
	if res := b.Login(t.Context(), login("fresh", "fresh-secret")); res.Token == "" {
		t.Errorf("the password was changed: %+v", res)
	}
}

// TestBcryptUsers: hashes of other systems sign in as well (LD3).
func TestBcryptUsers(t *testing.T) {
	covers.Req(t, "LD3")
	t.Parallel()
	b := newCluster(t).start(1, nil)
	hash, err := bcrypt.GenerateFromPassword([]byte("right"), 10)
	if err != nil {
		t.Fatal(err)
	}
	s := ukSetup()
	s.Assignments = nil
	s.Users = []broker.LocalUser{{Name: "lucy", Password: string(hash)}, {Name: "luke", Password: strings.Replace(string(hash), "$2a$", "$2b$", 1)}}
	b.fill(t, s)
	for _, user := range []string{"lucy", "luke"} {
		if res := b.Login(t.Context(), login(user, "right")); res.Token == "" {
			t.Errorf("%s: %+v", user, res)
		}
		if res := b.Login(t.Context(), login(user, "Right")); code(res.Refusal) != broker.CodeSignInFailed {
			t.Errorf("%s, wrong: %+v", user, res)
		}
	}
	for what, bad := range map[string]string{
		"cheap":    strings.Replace(string(hash), "$10$", "$04$", 1),
		"dear":     strings.Replace(string(hash), "$10$", "$31$", 1),
		"cut":      string(hash)[:59],
		"old kind": strings.Replace(string(hash), "$2a$", "$2x$", 1),
		"no cost":  strings.Replace(string(hash), "$10$", "$xx$", 1),
		"garbage":  string(hash)[:58] + "!!",
	} {
		s.Users[0].Password = bad
		if _, err := b.Apply(t.Context(), s, true, "test"); err == nil || !strings.Contains(err.Error(), "user[0].password") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// deafStore is a store on which the exchange of failures can fail.
type deafStore struct {
	*sqlite.Store
	deaf atomic.Bool
}

func (d *deafStore) ExchangeLimits(ctx context.Context, q broker.LimitExchange) (broker.LimitNews, error) {
	if d.deaf.Load() {
		return broker.LimitNews{}, fmt.Errorf("%w: cut off", broker.ErrUnavailable)
	}
	return d.Store.ExchangeLimits(ctx, q)
}
