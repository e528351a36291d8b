package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"switchpoint/admin"
	"switchpoint/broker/api"
	"switchpoint/directory/demodir"
	"switchpoint/internal/realserver"
	"switchpoint/peer"
)

// threeClusters are the clusters us, uk and de as processes of their own, with TLS between all of them.
// Each has a directory server of its own with the same people, as replicas have: equal ids, but a
// password that only the uk's knows, so that nobody could sign in elsewhere with it.
type threeClusters struct {
	t       *testing.T
	dir     string
	brokers map[string]*process
	slapds  map[string]*realserver.SlapdServer
	api     map[string]string // address by cluster
	peers   map[string]string
	keys    map[string]string
	quiet   net.Listener // a peer that accepts and keeps silent
	http    *http.Client
}

func roamingClusters() []string { return []string{"uk", "us", "de"} }

// roamers are the people of the story and where their entries stand.
func roamers() map[string]string {
	return map[string]string{
		"alice": "ou=US", "dora": "ou=DE", "dirk": "ou=DE", "gina": "ou=Gone", "luis": "ou=Loop", "quinn": "ou=Quiet", "paul": "ou=Plain", "bob": "ou=UK",
	}
}

const roamingPassword = "known in the uk only"

func startThreeClusters(t *testing.T) *threeClusters {
	t.Helper()
	t.Setenv(asMain, "1")
	w := &threeClusters{t: t, dir: shortDir(t), brokers: map[string]*process{}, slapds: map[string]*realserver.SlapdServer{},
		api: map[string]string{}, peers: map[string]string{}, keys: map[string]string{}}
	free := addresses(t, 7)
	for i, c := range roamingClusters() {
		w.api[c], w.peers[c] = free[2*i], free[2*i+1]
		w.slapds[c] = realserver.Slapd(t, realserver.SlapdOptions{Suffix: demodir.BaseDN, LDIF: roamingLDIF(c)})
	}
	w.api["gone"] = free[6]
	var err error
	if w.quiet, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.quiet.Close() })
	w.equip()
	t.Cleanup(w.end)
	for _, c := range roamingClusters() {
		w.launch(c)
	}
	ctx, cancel := context.WithTimeout(t.Context(), startDeadline)
	defer cancel()
	var g errgroup.Group
	for _, p := range w.brokers {
		g.Go(func() error { return awaitReady(ctx, p) })
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	return w
}

// awaitReady waits until a process says that it is ready.
func awaitReady(ctx context.Context, p *process) error {
	for node := admin.NewClient(p.socket); ; {
		err := node.Ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return p.died()
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w", p.name, err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// roamingLDIF has the people of the story, with the same entryUUID in each directory.
func roamingLDIF(cluster string) string {
	var b strings.Builder
	entry := func(lines ...string) { b.WriteString(strings.Join(lines, "\n") + "\n\n") }
	units := map[string]bool{}
	for _, ou := range roamers() {
		if !units[ou] {
			units[ou] = true
			entry("dn: "+ou+","+demodir.BaseDN, "objectClass: organizationalUnit")
		}
	}
	entry("dn: "+demodir.ServiceDN, "objectClass: organizationalRole", "objectClass: simpleSecurityObject", "userPassword: "+demodir.ServicePassword)
	password := roamingPassword
	if cluster != "uk" {
		password = "another one in " + cluster
	}
	for i, name := range sorted(keysOf(roamers())) {
		entry("dn: uid="+name+","+roamers()[name]+","+demodir.BaseDN, "objectClass: inetOrgPerson", "uid: "+name, "cn: "+name, "sn: "+name,
			"userPassword: "+password, fmt.Sprintf("entryUUID: 5f1d0c3e-0000-4000-8000-%012d", i+1))
	}
	return b.String()
}

func keysOf[V any](m map[string]V) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	return keys
}

// equip writes certificates, keys, secrets and configurations.
func (w *threeClusters) equip() {
	w.t.Helper()
	ca, err := newAuthority(w.dir)
	if err != nil {
		w.t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(w.dir, "ca.pem"))
	if err != nil {
		w.t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(text)
	w.http = &http.Client{
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13}}, Timeout: time.Minute,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	w.t.Cleanup(w.http.CloseIdleConnections)
	w.write("ldap", demodir.ServicePassword)
	trust := ""
	for _, c := range append(roamingClusters(), "quiet") {
		if err := os.MkdirAll(w.state(c), 0o700); err != nil {
			w.t.Fatal(err)
		}
		id, err := peer.LoadIdentity(w.state(c))
		if err == nil && c != "quiet" {
			err = ca.Issue(c, "127.0.0.1")
		}
		if err != nil {
			w.t.Fatal(err)
		}
		address := w.peers[c]
		if c == "quiet" {
			address = w.quiet.Addr().String()
		}
		trust += fmt.Sprintf("[[peer.trust]]\nname = \"%s-1\"\ncluster = %q\nkey = %q\naddress = %q\n", c, c, id.PublicKey(), address)
	}
	for i, c := range roamingClusters() {
		w.write(c+".toml", fmt.Sprintf(`[node]
name = "%[1]s-1"
datacenter = %[1]q
state_dir = "state/%[1]s"
[[datacenter]]
name = %[1]q
[[monitor]]
name = "quick"
kind = "https"
ca = "ca.pem"
interval = "400ms"
timeout = "350ms"
fall = 2
rise = 1
[peer]
listen = %[2]q
%[3]s
[broker]
cluster = %[1]q
site_id = %[4]d
listen = [%[5]q]
cert = "%[1]s.pem"
key = "%[1]s.key"
seed = "%[1]s.broker.toml"
`, c, w.peers[c], trust, i+1, w.api[c]))
		w.write(c+".broker.toml", w.setup(c))
	}
}

// setup has the rules of a cluster, one desktop for dora in de, and a pool everywhere.
func (w *threeClusters) setup(cluster string) string {
	rules := map[string]string{
		"uk": `ou=US > us
ou=US > de
ou=DE > de if_assigned_only
ou=Quiet > quiet if_assigned_only
ou=Gone > gone
ou=Loop > us
ou=Plain > plain`,
		"us": "ou=Loop > uk",
	}
	var b strings.Builder
	s := w.slapds[cluster]
	fmt.Fprintf(&b, "[[directory]]\nname = \"corp\"\nservers = [%q]\nca = %q\nbase_dn = %q\nbind_dn = %q\nbind_password = \"file:ldap\"\ntimeout = \"5s\"\n",
		s.TLSURL, s.CAFile, demodir.BaseDN, demodir.ServiceDN)
	if rules[cluster] != "" {
		fmt.Fprintf(&b, "[directory.redirect]\nattribute = \"distinguishedName\"\nmatch = \"contains\"\nrules = \"\"\"\n%s\n\"\"\"\n", rules[cluster])
	}
	for _, d := range []struct{ name, cluster, address, more string }{
		{"uk", "uk", w.api["uk"], `monitor = "quick"`}, {"us", "us", w.api["us"], "monitor = \"quick\"\nca = \"ca.pem\""},
		{"de", "de", w.api["de"], `ca = "ca.pem"`}, // with the monitor that each destination has by itself
		{"gone", "gone", w.api["gone"], `monitor = "quick"`}, {"quiet", "quiet", w.api["us"], `monitor = "quick"`},
		{"plain", "us", w.api["us"], "monitor = \"quick\"\nplain = true"},
	} {
		fmt.Fprintf(&b, "[[destination]]\nname = %q\ncluster = %q\nurl = \"https://%s\"\n%s\n", d.name, d.cluster, d.address, d.more)
	}
	fmt.Fprintf(&b, "[[desktop_pool]]\nname = \"floor\"\nkind = \"pooled\"\ncheck = \"none\"\n[[policy]]\nname = \"all\"\ndesktop_pools = [\"floor\"]\n")
	for i := range 8 {
		fmt.Fprintf(&b, "[[desktop]]\nname = \"%s-%d\"\npool = \"floor\"\nhost = \"floor-%d.%s.company.com\"\n", cluster, i, i, cluster)
	}
	if cluster == "de" {
		b.WriteString("[[desktop_pool]]\nname = \"own\"\nkind = \"assigned\"\ncheck = \"none\"\n[[desktop]]\nname = \"de-dora\"\npool = \"own\"\nhost = \"dora.de.company.com\"\n" +
			"[[assignment]]\nuser = \"dora\"\ndesktop = \"de-dora\"\n")
	}
	return b.String()
}

func (w *threeClusters) write(name, text string) {
	w.t.Helper()
	if err := os.WriteFile(filepath.Join(w.dir, name), []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

func (w *threeClusters) state(cluster string) string { return filepath.Join(w.dir, "state", cluster) }
func (w *threeClusters) url(cluster string) string   { return "https://" + w.api[cluster] }

func (w *threeClusters) launch(cluster string) {
	w.t.Helper()
	p := &process{name: cluster, config: filepath.Join(w.dir, cluster+".toml"), log: filepath.Join(w.dir, cluster+".log"),
		socket: filepath.Join(w.state(cluster), admin.SocketName)}
	if err := p.launch("run", "-c", p.config, "--until-eof"); err != nil {
		w.t.Fatal(err)
	}
	w.brokers[cluster] = p
}

func (w *threeClusters) end() {
	for _, p := range w.brokers {
		if p.running() {
			_ = p.stdin.Close()
		}
	}
	for _, p := range w.brokers {
		p.stop()
		if text, err := os.ReadFile(p.log); err == nil && w.t.Failed() {
			w.t.Logf("%s:\n%s", p.name, text[max(0, len(text)-3000):])
		}
	}
}

// signIn is one login step at a cluster, as a thin client sends it.
func (w *threeClusters) signIn(cluster string, body api.LoginRequest) api.LoginResponse {
	w.t.Helper()
	body.Client = api.Client{Name: "tc"}
	text, err := json.Marshal(body)
	if err != nil {
		w.t.Fatal(err)
	}
	resp, err := w.http.Post(w.url(cluster)+"/api/v1/login", "application/json", bytes.NewReader(text))
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var out api.LoginResponse
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil {
		w.t.Fatal(err)
	}
	return out
}

func (w *threeClusters) password(cluster, user string) api.LoginResponse {
	w.t.Helper()
	return w.signIn(cluster, api.LoginRequest{User: user, Password: roamingPassword})
}

func (w *threeClusters) byTicket(cluster, ticket string) api.LoginResponse {
	w.t.Helper()
	return w.signIn(cluster, api.LoginRequest{Ticket: ticket})
}

// sentHome wants a password at the uk to be answered with a way to that destination, and gives the ticket.
func (w *threeClusters) sentHome(user, destination string) string {
	w.t.Helper()
	res := w.password("uk", user)
	if res.Result != api.ResultRedirect || res.Redirect.URL != w.url(destination) {
		_, out, _ := cli(w.t, "redirect", "test", "--node", w.state("uk"), "--user", user)
		w.t.Fatalf("%s was not sent to %s: %s\n%s", user, destination, shown(res), out)
	}
	return res.Redirect.Ticket
}

// inAt wants an answer to be desktops of that cluster.
func (w *threeClusters) inAt(cluster string, res api.LoginResponse) {
	w.t.Helper()
	if res.Result != api.ResultOffers || res.Broker.Cluster != cluster || len(res.Offers) == 0 || res.Token == "" {
		w.t.Fatalf("not in at %s: %s", cluster, shown(res))
	}
}

// refused wants a refusal with that code whose reference says why at the broker that refused.
func (w *threeClusters) refused(cluster string, res api.LoginResponse, code, why string) {
	w.t.Helper()
	if res.Result != api.ResultRefused || res.Reason == nil || res.Reason.Code != code {
		w.t.Fatalf("not refused with %s: %s", code, shown(res))
	}
	exit, out, errOut := cli(w.t, "explain", "--node", w.state(cluster), "--ref", res.Reason.Ref)
	if exit != 0 || !strings.Contains(out, why) {
		w.t.Errorf("the reference %s does not say %q: exit %d, %s\n%s", res.Reason.Ref, why, exit, errOut, out)
	}
}

// shown shows an answer without its secrets.
func shown(res api.LoginResponse) string {
	res.Token = strings.Repeat("*", min(1, len(res.Token)))
	if res.Redirect != nil {
		res.Redirect = &api.Redirect{URL: res.Redirect.URL}
	}
	text, err := json.Marshal(res)
	if err != nil {
		return err.Error()
	}
	return string(text)
}
