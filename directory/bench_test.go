package directory

import (
	"crypto/rand"
	"crypto/sha1"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"switchpoint/internal/realserver"
)

const benchUsers = 200

// benchPeople are users with passwords as slapd stores them by default.
func benchPeople() string {
	var b strings.Builder
	b.WriteString("dn: ou=US,dc=company,dc=com\nobjectClass: organizationalUnit\nou: US\n")
	for i := range benchUsers {
		fmt.Fprintf(&b, "\ndn: uid=user%d,ou=US,dc=company,dc=com\nobjectClass: inetOrgPerson\nuid: user%d\ncn: U\nsn: U\nuserPassword: %s\n", i, i, ssha(fmt.Sprintf("secret%d", i)))
	}
	return b.String()
}

func ssha(password string) string {
	salt := make([]byte, 8)
	_, _ = rand.Read(salt)
	sum := sha1.Sum(append([]byte(password), salt...))
	return "{SSHA}" + base64.StdEncoding.EncodeToString(append(sum[:], salt...))
}

// BenchmarkAuthenticate is one login, a search and a bind, beside a plain go-ldap loop in which
// each worker keeps a connection for searches and one for binds.
func BenchmarkAuthenticate(b *testing.B) {
	s := realserver.Slapd(b, realserver.SlapdOptions{LDIF: benchPeople()})
	for _, url := range []string{s.URL, s.TLSURL} {
		for _, workers := range []int{16, 64} {
			name := fmt.Sprintf("%s/%d", strings.SplitN(url, ":", 2)[0], workers)
			b.Run(name+"/raw", func(b *testing.B) { benchRaw(b, s, url, workers) })
			b.Run(name+"/client", func(b *testing.B) { benchClient(b, s, url, workers) })
		}
	}
}

// share gives b.N logins to workers.
func share(b *testing.B, workers int, login func(worker, n int) error) {
	var next atomic.Int64
	var wg sync.WaitGroup
	before := ownCPU(b)
	b.ResetTimer()
	for w := range workers {
		wg.Go(func() {
			for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
				if err := login(w, int(n)%benchUsers); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "logins/s")
	b.ReportMetric(float64((ownCPU(b)-before).Microseconds())/float64(b.N), "cpu-us/login")
}

// ownCPU is what this process has used: on a busy machine it says more than the time that passed.
func ownCPU(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func benchClient(b *testing.B, s *realserver.SlapdServer, url string, workers int) {
	cfg := slapdConfig(b, s, url)
	if url == s.TLSURL {
		cfg.CA = s.CAFile
	}
	c := newClient(b, cfg)
	share(b, workers, func(_, n int) error {
		_, err := c.Authenticate(b.Context(), fmt.Sprintf("user%d", n), fmt.Sprintf("secret%d", n), nil)
		return err
	})
	state := c.fleet.Load().servers[0].bind.gate.state()
	b.ReportMetric(float64(state.limit), "limit")
}

func benchRaw(b *testing.B, s *realserver.SlapdServer, url string, workers int) {
	roots, err := loadCA(s.CAFile)
	if err != nil {
		b.Fatal(err)
	}
	dial := func() *ldap.Conn {
		l, err := ldap.DialURL(url, ldap.DialWithTLSConfig(&tls.Config{RootCAs: roots}))
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = l.Close() })
		return l
	}
	var search, bind []*ldap.Conn
	for range workers {
		l := dial()
		if err := l.Bind(s.AdminDN, s.AdminPassword); err != nil {
			b.Fatal(err)
		}
		search, bind = append(search, l), append(bind, dial())
	}
	share(b, workers, func(w, n int) error {
		res, err := search[w].Search(ldap.NewSearchRequest(s.Suffix, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 2, 2, false,
			newFilterTemplate(DefaultUserFilter).build(loginName{account: fmt.Sprintf("user%d", n), full: fmt.Sprintf("user%d", n)}), ownAttributes[:], nil))
		if err != nil {
			return err
		}
		return bind[w].Bind(res.Entries[0].DN, fmt.Sprintf("secret%d", n))
	})
}
