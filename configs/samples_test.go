package configs

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"io/fs"
	"maps"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"

	"switchpoint/broker"
)

// TestSamplesAsTheyStand loads the files that need nothing beside them, from where they are.
func TestSamplesAsTheyStand(t *testing.T) {
	for _, name := range []string{"minimal.toml", "switchpoint.toml"} {
		c, err := Load(name)
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		if c.GTM == nil || c.LB == nil || c.Broker == nil {
			t.Errorf("%s: a role is missing", name)
		}
	}
}

// commented finds settings that are there as a comment: "#key = value", "#[section]".
var commented = regexp.MustCompile(`(?m)^#([a-z0-9_]+ = |\[)`)

// instead finds settings that exclude what stands above them; they are shown and not in force.
var instead = regexp.MustCompile(`(?m)^(\w+ = .* # instead of )`)

// withAllSettings copies a sample into a folder where all that it names is there, with every
// commented setting in force.
func withAllSettings(t *testing.T, name string) (path string, text string) {
	t.Helper()
	dir := t.TempDir()
	for _, file := range []string{"broker.toml", "company.com.zone", "racks.csv"} {
		copyFile(t, file, filepath.Join(dir, file))
	}
	writeCertificates(t, dir, "admin", "lb", "broker")
	writeFile(t, filepath.Join(dir, "secrets", "ldap"), "secret\n")
	writeFile(t, filepath.Join(dir, "secrets", "admin-token"), "token\n")
	writeFile(t, filepath.Join(dir, "secrets", "postgres"), "secret\n")
	writeFile(t, filepath.Join(dir, "secrets", "inventory"), "secret\n")
	writeFile(t, filepath.Join(dir, "secrets", "dns-cookies"), "e5e973e5a6b2a43f48e7dc849e37bfcf\n")
	writeFile(t, filepath.Join(dir, "secrets", "lb-cookies"), "x7Jw2mQ9sK4dP8vT1nR6yB3gL5cZ0aHf\n")
	writeFile(t, filepath.Join(dir, "secrets", "tickets"), "Vq3n0yR6rS1kq2bQm5c8t7w9z4x6v8b1\n")
	writeGeo(t, filepath.Join(dir, "GeoLite2-Country.mmdb"))
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	text = commented.ReplaceAllString(string(b), "$1")
	path = filepath.Join(dir, name)
	writeFile(t, path, instead.ReplaceAllString(text, "#$1"))
	return path, text
}

func TestEverySettingOfTheAnnotatedSample(t *testing.T) {
	path, text := withAllSettings(t, "switchpoint.toml")
	full, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	wantEveryKey(t, text, reflect.TypeFor[Config]())

	// What the sample calls a default is one.
	plain, err := Load("switchpoint.toml")
	if err != nil {
		t.Fatal(err)
	}
	said, used := effectiveValues(t, full), effectiveValues(t, plain)
	for _, key := range slices.Sorted(maps.Keys(used)) {
		if used[key].value == "false" {
			continue // a switch that is off: the sample shows how to turn it on
		}
		if used[key].origin == "default" && plainDuration(said[key].value) != used[key].value {
			t.Errorf("switchpoint.toml says that %s is %s, but the default is %s", key, said[key].value, used[key].value)
		}
	}
}

func TestEverySettingOfTheAnnotatedSetup(t *testing.T) {
	path, text := withAllSettings(t, "broker.toml")
	if _, err := LoadSetup(path, []string{"is_alive"}, "us"); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadSetup("broker.toml", []string{"is_alive"}, "us"); err != nil {
		t.Fatalf("as it stands: %v", err)
	}
	wantEveryKey(t, text, reflect.TypeFor[broker.Setup]())
}

// plainDuration writes a duration in the form that Effective has; other values stay.
func plainDuration(value string) string {
	span, err := time.ParseDuration(strings.Trim(value, `"`))
	if err != nil {
		return value
	}
	return quote(shortDuration(span))
}

// wantEveryKey fails for each key of a type that the text does not have.
func wantEveryKey(t *testing.T, text string, typ reflect.Type) {
	t.Helper()
	there := map[string]bool{}
	for path := range indexLines(text).at {
		there[plainPath(path)] = true
	}
	var walk func(path string, typ reflect.Type)
	walk = func(path string, typ reflect.Type) {
		for _, f := range fieldsOf(typ) {
			at := joinKey(path, f.name)
			if !there[at] {
				t.Errorf("the sample lacks %s", at)
			}
			in := f.typ
			if in.Kind() == reflect.Pointer || in.Kind() == reflect.Slice {
				in = in.Elem()
			}
			if in.Kind() == reflect.Struct {
				walk(at, in)
			}
		}
	}
	walk("", typ)
}

func TestDemo(t *testing.T) {
	dir := t.TempDir()
	var roles []string
	err := fs.WalkDir(Demo(), "demo", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fs.ReadFile(Demo(), path)
		if err != nil {
			return err
		}
		name := filepath.Base(path)
		if strings.HasSuffix(name, ".toml") && !strings.HasSuffix(name, ".broker.toml") {
			roles = append(roles, strings.TrimSuffix(name, ".toml"))
		}
		writeFile(t, filepath.Join(dir, name), peerKeys(t, string(text)))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"uk-broker-1", "uk-broker-2", "uk-gtm", "uk-lb", "us-broker-1", "us-broker-2", "us-gtm", "us-lb"}
	if !slices.Equal(roles, want) {
		t.Errorf("roles %v, want %v", roles, want)
	}
	writeCertificates(t, dir, roles...)
	writeFile(t, filepath.Join(dir, "secrets", "ldap"), "secret\n")
	for _, role := range roles {
		c, err := Load(filepath.Join(dir, role+".toml"))
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		if c.Node.Name != role || c.Node.StateDir != filepath.Join(dir, "state", role) {
			t.Errorf("%s: node %+v", role, c.Node)
		}
		if c.Node.Datacenter != role[:2] {
			t.Errorf("%s stands in %s", role, c.Node.Datacenter)
		}
	}
}

var peerKey = regexp.MustCompile("KEY-OF-[a-z0-9-]+")

func peerKeys(t *testing.T, text string) string {
	return peerKey.ReplaceAllStringFunc(text, func(string) string {
		public, _, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return base64.StdEncoding.EncodeToString(public)
	})
}

// writeGeo makes a MaxMind database with one network in it.
func writeGeo(t *testing.T, path string) {
	t.Helper()
	tree, err := mmdbwriter.New(mmdbwriter.Options{DatabaseType: "GeoLite2-Country"})
	if err != nil {
		t.Fatal(err)
	}
	_, network, err := net.ParseCIDR("81.2.69.0/24")
	if err != nil {
		t.Fatal(err)
	}
	if err := tree.Insert(network, mmdbtype.Map{
		"continent":                mmdbtype.Map{"code": mmdbtype.String("EU")},
		"country":                  mmdbtype.Map{"iso_code": mmdbtype.String("GB")},
		"autonomous_system_number": mmdbtype.Uint32(64512),
	}); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if _, err := tree.WriteTo(&out); err != nil {
		t.Fatal(err)
	}
	writeFile(t, path, out.String())
}

// writeCertificates makes certs/ca.pem and for each name certs/NAME.pem and certs/NAME.key. All
// are one self-signed certificate: nothing here makes a TLS connection.
func writeCertificates(t *testing.T, dir string, names ...string) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
		DNSNames: []string{"cb.company.com"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})
	writeFile(t, filepath.Join(dir, "certs", "ca.pem"), string(certPEM))
	writeFile(t, filepath.Join(dir, "certs", "directory-ca.pem"), string(certPEM))
	for _, name := range names {
		writeFile(t, filepath.Join(dir, "certs", name+".pem"), string(certPEM))
		writeFile(t, filepath.Join(dir, "certs", name+".key"), string(keyPEM))
	}
}

func writeFile(t testing.TB, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func copyFile(t testing.TB, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, to, string(b))
}

// setting is one line of Effective.
type setting struct{ value, origin string }

// effectiveValues reads what Effective says, by path.
func effectiveValues(t *testing.T, c *Config) map[string]setting {
	t.Helper()
	var out bytes.Buffer
	if err := Effective(&out, c); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(out.String(), "\n")
	all := map[string]setting{}
	for path, n := range indexLines(out.String()).at {
		_, rest, isKey := strings.Cut(lines[n-1], " = ")
		if !isKey || path[strings.LastIndexAny(path, ".[")+1:] != strings.SplitN(lines[n-1], " ", 2)[0] {
			continue
		}
		i := strings.LastIndex(rest, " # ")
		all[path] = setting{value: strings.TrimSpace(rest[:i]), origin: rest[i+3:]}
	}
	return all
}

func TestDemoCluster(t *testing.T) {
	dir := t.TempDir()
	read := func(name string) string {
		text, err := fs.ReadFile(DemoCluster(), "demo-cluster/"+name)
		if err != nil {
			t.Fatal(err)
		}
		return peerKeys(t, string(text))
	}
	writeFile(t, filepath.Join(dir, "home.broker.toml"), read("home.broker.toml"))
	writeFile(t, filepath.Join(dir, "lb.toml"), read("lb.toml"))
	writeFile(t, filepath.Join(dir, "secrets", "ldap"), "secret\n")
	writeFile(t, filepath.Join(dir, "secrets", "postgres"), "secret\n")
	roles := []string{"lb"}
	for i := 1; i <= 5; i++ {
		name := "broker-" + strconv.Itoa(i)
		writeFile(t, filepath.Join(dir, name+".toml"), strings.ReplaceAll(read("broker.toml"), "NUMBER", strconv.Itoa(i)))
		roles = append(roles, name)
	}
	writeCertificates(t, dir, roles...)
	for _, role := range roles {
		c, err := Load(filepath.Join(dir, role+".toml"))
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		if c.Node.Name != role || c.Broker != nil && c.Broker.Database.Kind != broker.KindPostgres {
			t.Errorf("%s: %+v", role, c.Node)
		}
	}
}
