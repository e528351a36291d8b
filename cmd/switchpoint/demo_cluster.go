package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"switchpoint/bench/pgserver"
	"switchpoint/configs"
	"switchpoint/directory/demodir"
	"switchpoint/peer"
)

// demoBrokers is how many brokers the cluster demo starts on one database.
const demoBrokers = 5

const portPostgres = 5432

// clusterStage is the set of the cluster demo: a database server, its brokers, and a balancer.
type clusterStage struct {
	*stage
	server *pgserver.Server
}

// demoCluster is `switchpoint demo --cluster`.
func demoCluster(ctx context.Context, w io.Writer, dir string, once bool) (err error) {
	s, err := prepareClusterStage(dir)
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(w, "The demo lives in %s\n", s.dir)
	defer func() { err = errors.Join(err, s.stop()) }()
	if err := s.start(ctx, w); err != nil {
		return err
	}
	if once {
		return playClusterStory(ctx, w, s)
	}
	if err := s.show(ctx, w, "cluster", "list"); err != nil {
		return err
	}
	s.printMap(w)
	return s.wait(ctx, w)
}

func brokerName(n int) string { return "broker-" + strconv.Itoa(n) }

func clusterNodes() []string {
	var out []string
	for n := range demoBrokers {
		out = append(out, brokerName(n+1))
	}
	return append(out, "lb")
}

// clusterSockets are the addresses of the cluster demo by port, as demoSockets.
func clusterSockets() map[int][]string {
	var brokers []string
	for n := range demoBrokers {
		brokers = append(brokers, brokerAddress(n+1))
	}
	return map[int][]string{
		portLB: {"127.0.3.80"}, portBroker: brokers, portPeer: brokers, portDirectory: {"127.0.3.36"}, portPostgres: {"127.0.3.54"},
	}
}

func brokerAddress(n int) string { return "127.0.3.1" + strconv.Itoa(n) }

// prepareClusterStage writes the demo's directory.
func prepareClusterStage(dir string) (*clusterStage, error) {
	s := &clusterStage{stage: &stage{dir: dir}}
	if err := s.claim(clusterNodes(), clusterSockets()); err != nil {
		return nil, err
	}
	// The database's own user has to pass through; secrets and states are closed to others.
	for path, mode := range map[string]os.FileMode{s.dir: 0o711, s.path("secrets"): 0o700} {
		if err := os.Chmod(path, mode); err != nil {
			return nil, err
		}
	}
	ca, err := newAuthority(s.path("certs"))
	if err != nil {
		return nil, err
	}
	hosts := map[string][]string{
		"directory": {"127.0.3.36"}, "postgres": {"127.0.3.54"}, "lb": {"cb.company.com", "127.0.3.80"},
	}
	for n := range demoBrokers {
		hosts[brokerName(n+1)] = []string{brokerName(n+1) + ".company.com", brokerAddress(n + 1)}
	}
	for name, h := range hosts {
		if err := ca.Issue(name, h...); err != nil {
			return nil, err
		}
	}
	return s, s.writeClusterConfigs()
}

// writeClusterConfigs writes the files of all nodes with their keys and ports, and the secrets.
func (s *clusterStage) writeClusterConfigs() error {
	var pairs []string
	for from, to := range s.ports {
		pairs = append(pairs, ":"+strconv.Itoa(from), ":"+strconv.Itoa(to))
	}
	for n := range demoBrokers {
		state := s.path("state", brokerName(n+1))
		if err := os.MkdirAll(state, 0o700); err != nil {
			return err
		}
		id, err := peer.LoadIdentity(state)
		if err != nil {
			return err
		}
		pairs = append(pairs, "KEY-OF-"+brokerName(n+1), id.PublicKey())
	}
	replace := strings.NewReplacer(pairs...)
	write := func(from, to string, more ...string) error {
		text, err := fs.ReadFile(configs.DemoCluster(), "demo-cluster/"+from)
		if err != nil {
			return err
		}
		return os.WriteFile(s.path(to), []byte(replace.Replace(strings.NewReplacer(more...).Replace(string(text)))), 0o600)
	}
	err := errors.Join(
		write("lb.toml", "lb.toml"), write("home.broker.toml", "home.broker.toml"),
		os.WriteFile(s.path("secrets", "ldap"), []byte(demoServicePassword()+"\n"), 0o600),
		os.WriteFile(s.path("secrets", "postgres"), []byte(rand.Text()+"\n"), 0o600))
	for n := range demoBrokers {
		err = errors.Join(err, write("broker.toml", brokerName(n+1)+".toml", "NUMBER", strconv.Itoa(n+1)))
	}
	return err
}

// start starts the database first, then all others.
func (s *clusterStage) start(ctx context.Context, w io.Writer) error {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, startDeadline)
	defer cancel()
	if err := s.startDatabase(ctx); err != nil {
		return err
	}
	_, _ = fmt.Fprintf(w, "%6.1f s  postgres is ready\n", time.Since(began).Seconds())
	if err := s.launchDirectory("127.0.3.36"); err != nil {
		return err
	}
	for _, name := range clusterNodes() {
		if err := s.launchNode(name); err != nil {
			return err
		}
	}
	return s.awaitAll(ctx, w, began)
}

// startDatabase runs PostgreSQL with the user and the database that the brokers' files name.
func (s *clusterStage) startDatabase(ctx context.Context) (err error) {
	s.server, err = pgserver.Start(ctx, pgserver.Options{
		Dir: s.path("postgres"), Addr: s.address("127.0.3.54", portPostgres), Password: rand.Text(),
		Cert: s.path("certs", "postgres.pem"), Key: s.path("certs", "postgres.key"),
		Settings: map[string]string{"max_connections": "150"},
	})
	if err != nil {
		return err
	}
	password, err := os.ReadFile(s.path("secrets", "postgres"))
	if err != nil {
		return err
	}
	for _, sql := range []string{
		"CREATE ROLE switchpoint LOGIN PASSWORD '" + strings.TrimSpace(string(password)) + "'", // of letters and digits alone
		"CREATE DATABASE switchpoint OWNER switchpoint",
	} {
		if _, err := s.server.SQL(ctx, "postgres", sql); err != nil {
			return err
		}
	}
	return nil
}

// stop ends the processes, and then their database.
func (s *clusterStage) stop() error {
	s.stage.stop()
	if s.server == nil {
		return nil
	}
	return s.server.Stop()
}

// show runs a command of this program on the first broker that lives, and prints it with its answer.
func (s *clusterStage) show(ctx context.Context, w io.Writer, args ...string) error {
	for _, p := range s.processes {
		if !strings.HasPrefix(p.name, "broker-") || !p.running() {
			continue
		}
		args = append(args, "--node", s.path("state", p.name))
		_, _ = fmt.Fprintf(w, "\n$ switchpoint %s\n", strings.Join(args, " "))
		root := rootCommand()
		root.SetArgs(args)
		root.SetOut(w)
		return root.ExecuteContext(ctx)
	}
	return errors.New("no broker lives")
}

// printMap tells a person where everything is and what to type.
func (s *clusterStage) printMap(w io.Writer) {
	sp, node := os.Args[0], s.path("state", brokerName(1))
	_, _ = fmt.Fprintf(w, `
Five brokers on one PostgreSQL. Files, keys and logs: %s

Sign-in page (the CA is %s):
  https://%s
Users: `, s.dir, s.path("certs", "ca.pem"), s.address("127.0.3.80", portLB))
	for _, u := range demodir.Users() {
		_, _ = fmt.Fprintf(w, "%s (%s) ", u.Name, u.Password)
	}
	victim := 0
	if p, err := s.process(brokerName(2)); err == nil {
		victim = p.cmd.Process.Pid
	}
	_, _ = fmt.Fprintf(w, `

Commands to type:
  %[1]s=%[2]s %[3]s login --url https://%[4]s --ca %[5]s --user alice
  %[3]s cluster list --node %[6]s
  %[3]s jobs list --node %[6]s
  kill -9 %[7]d    # broker-2; then the two lists again, and another login
  psql -h 127.0.3.54 -p %[8]d -U switchpoint switchpoint    # password: %[9]s

Or play the whole story with:  %[3]s demo --cluster --once
Ctrl-C ends the demo.
`, passwordEnv, demoPassword("alice"), sp, s.address("127.0.3.80", portLB), s.path("certs", "ca.pem"), node,
		victim, s.ports[portPostgres], s.path("secrets", "postgres"))
}
