package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"switchpoint/admin"
	"switchpoint/configs"
	"switchpoint/peer"
)

// stage is the demo's set: the directory on disk and the processes that play on it.
type stage struct {
	dir       string
	ports     map[int]int
	processes []*process
	options   stageOptions
}

// stageOptions puts another directory server in the place of the demo's own: the story is also
// told over a real slapd.
type stageOptions struct {
	directoryURL string // ldaps://...; empty: the demo's own
	directoryCA  string // PEM file
	password     string // of the service account cn=switchpoint
}

// startDeadline bounds how long everything may take to come up; a binary built with -race on a
// busy machine needs a good part of it.
const startDeadline = 90 * time.Second

// demoNodes are the processes in the order of their start.
func demoNodes() []string {
	return []string{"us-broker-1", "us-broker-2", "uk-broker-1", "uk-broker-2", "us-lb", "uk-lb", "us-gtm", "uk-gtm"}
}

// prepareStage writes the demo's directory: configuration, certificates, keys, secrets.
func prepareStage(dir string, o stageOptions) (*stage, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	s := &stage{dir: dir, options: o}
	if err := s.claim(demoNodes(), demoSockets()); err != nil {
		return nil, err
	}
	if err := s.writeCerts(); err != nil {
		return nil, err
	}
	replace, err := s.substitutions()
	if err != nil {
		return nil, err
	}
	return s, s.writeConfigs(replace)
}

// claim makes the demo's directory and chooses its ports.
func (s *stage) claim(nodes []string, sockets map[int][]string) (err error) {
	if err := s.unused(nodes); err != nil {
		return err
	}
	if s.ports, err = choosePorts(sockets); err != nil {
		return err
	}
	for _, d := range []string{"certs", "secrets", "state", "logs"} {
		if err := os.MkdirAll(s.path(d), 0o755); err != nil {
			return fmt.Errorf("make the demo's directory: %w", err)
		}
	}
	return nil
}

// unused refuses the directory of a demo that runs: its files would change under it.
func (s *stage) unused(nodes []string) error {
	for _, name := range nodes {
		conn, err := net.DialTimeout("unix", s.path("state", name, admin.SocketName), time.Second)
		if err == nil {
			_ = conn.Close()
			return fmt.Errorf("a demo runs in %s; end it, or choose another --dir", s.dir)
		}
	}
	return nil
}

func (s *stage) path(parts ...string) string {
	return filepath.Join(append([]string{s.dir}, parts...)...)
}

// writeCerts issues what each server presents. A balancer also answers for the names that gtm
// steers to it.
func (s *stage) writeCerts() error {
	ca, err := newAuthority(s.path("certs"))
	if err != nil {
		return err
	}
	hosts := map[string][]string{"directory": {"127.0.1.36"}}
	for i, dc := range []string{"us", "uk"} {
		network := fmt.Sprintf("127.0.%d.", i+1)
		hosts[dc+"-lb"] = []string{"cb.company.com", "cb." + dc + ".company.com", "lb." + dc + ".company.com", network + "80"}
		hosts[dc+"-broker-1"] = []string{"broker1." + dc + ".company.com", network + "11"}
		hosts[dc+"-broker-2"] = []string{"broker2." + dc + ".company.com", network + "12"}
	}
	for name, h := range hosts {
		if err := ca.Issue(name, h...); err != nil {
			return err
		}
	}
	directoryCA := s.options.directoryCA
	if directoryCA == "" {
		directoryCA = s.path("certs", "ca.pem")
	}
	text, err := os.ReadFile(directoryCA)
	if err != nil {
		return fmt.Errorf("read the directory's CA: %w", err)
	}
	return os.WriteFile(s.path("certs", "directory-ca.pem"), text, 0o600)
}

// substitutions are the few values that the files cannot know beforehand.
func (s *stage) substitutions() (*strings.Replacer, error) {
	var pairs []string
	if s.options.directoryURL != "" {
		pairs = append(pairs, fmt.Sprintf("ldaps://127.0.1.36:%d", portDirectory), s.options.directoryURL)
	}
	for from, to := range s.ports {
		pairs = append(pairs, ":"+strconv.Itoa(from), ":"+strconv.Itoa(to), "port = "+strconv.Itoa(from), "port = "+strconv.Itoa(to))
	}
	for _, name := range demoNodes() {
		if strings.HasSuffix(name, "-lb") {
			continue // a balancer has no peers
		}
		state := s.path("state", name)
		if err := os.MkdirAll(state, 0o700); err != nil {
			return nil, err
		}
		id, err := peer.LoadIdentity(state)
		if err != nil {
			return nil, err
		}
		pairs = append(pairs, "KEY-OF-"+name, id.PublicKey())
	}
	return strings.NewReplacer(pairs...), nil
}

func (s *stage) writeConfigs(replace *strings.Replacer) error {
	password := s.options.password
	if password == "" {
		password = demoServicePassword()
	}
	if err := os.WriteFile(s.path("secrets", "ldap"), []byte(password+"\n"), 0o600); err != nil {
		return err
	}
	files := configs.Demo()
	return fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		return os.WriteFile(s.path(filepath.Base(name)), []byte(replace.Replace(string(text))), 0o600)
	})
}

// start launches every process and waits until each of them serves and holds everything that
// it watches to be up.
func (s *stage) start(ctx context.Context, w io.Writer) error {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, startDeadline)
	defer cancel()
	if s.options.directoryURL == "" {
		if err := s.launchDirectory("127.0.1.36"); err != nil {
			return err
		}
	}
	for _, name := range demoNodes() {
		if err := s.launchNode(name); err != nil {
			return err
		}
	}
	return s.awaitAll(ctx, w, began)
}

// launchDirectory starts the demo's directory on an address.
func (s *stage) launchDirectory(address string) error {
	p := &process{name: "directory", log: s.path("logs", "directory.log")}
	s.processes = append(s.processes, p)
	return p.launch("demo", "directory", "--listen", s.address(address, portDirectory),
		"--cert", s.path("certs", "directory.pem"), "--key", s.path("certs", "directory.key"), "--until-eof")
}

// launchNode starts the process of a configuration.
func (s *stage) launchNode(name string) error {
	p := &process{
		name: name, config: s.path(name + ".toml"), log: s.path("logs", name+".log"),
		socket: s.path("state", name, admin.SocketName),
	}
	s.processes = append(s.processes, p)
	return p.launch("run", "-c", p.config, "--until-eof")
}

// awaitAll waits until all processes serve.
func (s *stage) awaitAll(ctx context.Context, w io.Writer, began time.Time) error {
	for _, p := range s.processes {
		if p.socket == "" {
			continue
		}
		if err := s.await(ctx, p); err != nil {
			return err
		}
		_, _ = fmt.Fprintf(w, "%6.1f s  %s is ready\n", time.Since(began).Seconds(), p.name)
	}
	return nil
}

// await asks the process until it serves and every check that it runs is up.
func (s *stage) await(ctx context.Context, p *process) error {
	node := admin.NewClient(p.socket)
	for {
		why := node.Ready(ctx)
		if why == nil {
			why = allUp(ctx, node)
		}
		if why == nil {
			return nil
		}
		select {
		case <-p.done:
			return p.died()
		case <-ctx.Done():
			return fmt.Errorf("%s did not come up: %w (see %s)", p.name, why, p.log)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func allUp(ctx context.Context, node *admin.Client) error {
	var checks []checkLine
	if err := node.Do(ctx, "GET", "health", nil, &checks); err != nil {
		return err
	}
	for _, c := range checks {
		if c.State != "up" {
			return fmt.Errorf("%s is %s: %s", c.Address, c.State, c.Reason)
		}
	}
	return nil
}

// wait blocks until the user has seen enough, and tells when a role ends by itself.
func (s *stage) wait(ctx context.Context, w io.Writer) error {
	ended := make(chan *process)
	for _, p := range s.processes {
		go func() {
			select {
			case <-ctx.Done():
			case <-p.done:
				select {
				case ended <- p:
				case <-ctx.Done():
				}
			}
		}()
	}
	for {
		select {
		case <-ctx.Done():
			_, _ = fmt.Fprintln(w, "\nstopping")
			return nil
		case p := <-ended:
			_, _ = fmt.Fprintf(w, "%s has ended; the others go on. Its log: %s\n", p.name, p.log)
		}
	}
}

// stop ends all processes at once and waits for each.
func (s *stage) stop() {
	for _, p := range s.processes {
		if p.running() {
			_ = p.stdin.Close()
		}
	}
	for _, p := range s.processes {
		p.stop()
	}
}

// process finds a process by name.
func (s *stage) process(name string) (*process, error) {
	for _, p := range s.processes {
		if p.name == name {
			return p, nil
		}
	}
	return nil, errors.New("the demo has no process " + name)
}

// address is host with what the port of the files became.
func (s *stage) address(host string, port int) string {
	return host + ":" + strconv.Itoa(s.ports[port])
}
