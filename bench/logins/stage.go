package logins

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"switchpoint/bench/ldapserver"
	"switchpoint/bench/pgserver"
	"switchpoint/internal/ownca"
)

// stage is what all chains of a run have in common: a folder, an authority, the database server and
// the directory.
type stage struct {
	dir      string
	self     string // our own binary
	host     string // loopback address of all servers
	ca       *ownca.Folder
	users    int
	pg       *pgserver.Server
	ldap     *ldapserver.Server
	password string // of the database's user and of the directory's service account
	n        int    // of logs and chains so far
}

// prepareStage makes the folder; nothing runs yet. The address is one of 127.48.0.0/12, where nobody
// else is likely to listen; clients have 127.64.0.0/10.
func prepareStage(self string, users int) (*stage, error) {
	dir, _, err := folder()
	if err != nil {
		return nil, err
	}
	s := &stage{dir: dir, self: self, users: users, password: rand.Text()}
	r := make([]byte, 3)
	_, _ = rand.Read(r) // never fails (crypto/rand)
	s.host = fmt.Sprintf("127.%d.%d.%d", 48+r[0]%16, r[1], 1+r[2]%250)
	return s, s.files()
}

// folder makes the one of a run, and says how to remove it.
func folder() (dir string, remove func(), err error) {
	dir, err = os.MkdirTemp("", "switchpoint-bench-")
	return dir, func() { _ = os.RemoveAll(dir) }, err
}

func (s *stage) files() (err error) {
	// The users that servers run as have to pass; what is secret is closed to others by itself.
	if err := os.Chmod(s.dir, 0o711); err != nil { //nolint:gosec // G302: as above
		return err
	}
	if s.ca, err = newAuthority(s.dir); err != nil {
		return err
	}
	for _, name := range []string{"lb", "broker", "slapd", "slow"} {
		if err := s.ca.Issue(name, s.host, steered); err != nil {
			return err
		}
	}
	return os.WriteFile(s.file("password"), []byte(s.password+"\n"), 0o600)
}

func (s *stage) file(name string) string { return filepath.Join(s.dir, name) }

// log is a new file for the output of a process.
func (s *stage) log(name string) string {
	s.n++
	return s.file(fmt.Sprintf("%s-%d.log", name, s.n))
}

// startServers starts the database server and the directory.
func (s *stage) startServers(ctx context.Context, sharedBuffers string) (err error) {
	s.pg, err = pgserver.Start(ctx, pgserver.Options{
		Dir: s.file("postgres"), Addr: s.host + ":0", Password: s.password,
		Settings: map[string]string{"shared_buffers": sharedBuffers, "max_connections": "300", "max_wal_size": "4GB", "log_min_messages": "warning"},
	})
	if err != nil {
		return err
	}
	// The password is of letters and digits alone.
	if _, err := s.pg.SQL(ctx, "postgres", "CREATE ROLE switchpoint LOGIN PASSWORD '"+s.password+"'"); err != nil {
		return err
	}
	cert, key := s.ca.Files("slapd")
	s.ldap, err = ldapserver.Start(ctx, ldapserver.Options{
		Dir: s.file("slapd"), Addr: s.host + ":0", CA: s.ca.CAFile(), Cert: cert, Key: key, Password: s.password, Users: s.users,
	})
	return err
}

// keepLogs copies the logs of all processes to a folder, unless none is named.
func (s *stage) keepLogs(to string) error {
	if to == "" {
		return nil
	}
	files, err := filepath.Glob(s.file("*.log"))
	if err != nil {
		return err
	}
	if s.pg != nil {
		files = append(files, s.pg.LogFile())
	}
	for _, f := range files {
		text, err := os.ReadFile(filepath.Clean(f))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(to, "bench-"+filepath.Base(f)), text, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// close ends the servers and removes the files.
func (s *stage) close() (err error) {
	if s.ldap != nil {
		err = s.ldap.Stop()
	}
	if s.pg != nil {
		err = errors.Join(err, s.pg.Stop())
	}
	return errors.Join(err, os.RemoveAll(s.dir))
}

// ports finds free ports of the host, for TCP and UDP alike, and gives them as addresses. All are held
// while they are looked for, so they differ.
func (s *stage) ports(n int) ([]string, error) {
	var open []interface{ Close() error }
	defer func() {
		for _, l := range open {
			_ = l.Close()
		}
	}()
	var out []string
	for tries := 0; len(out) < n; tries++ {
		l, err := net.Listen("tcp", s.host+":0")
		if err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		open = append(open, l)
		p, err := net.ListenPacket("udp", l.Addr().String())
		if err != nil {
			if tries > 100 {
				return nil, fmt.Errorf("find a free port: %w", err)
			}
			continue
		}
		open = append(open, p)
		out = append(out, l.Addr().String())
	}
	return out, nil
}

// newAuthority makes the CA of a run, whose certificate it writes to dir/ca.pem.
func newAuthority(dir string) (*ownca.Folder, error) {
	return ownca.NewFolder(dir, "Switchpoint bench CA", 48*time.Hour)
}
