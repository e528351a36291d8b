package adminsocket

import (
	"bytes"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

func TestMetricsPage(t *testing.T) {
	m := parseMetrics(strings.NewReader("# HELP a x\n# TYPE a gauge\na 12\nb{c=\"d\"} 3\ne 1.5e3\nbad\n"))
	if m["a"] != 12 || m["e"] != 1500 || len(m) != 3 {
		t.Errorf("%v", m)
	}
}

func TestAsked(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "admin.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	node := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/metrics" {
			http.Error(w, "not here", http.StatusNotFound)
			return
		}
		_, _ = w.Write([]byte("up 1\n"))
	})}
	done := make(chan error, 1)
	go func() { done <- node.Serve(l) }()
	t.Cleanup(func() { _ = node.Close(); <-done })

	m, err := Metrics(t.Context(), socket)
	if err != nil || m["up"] != 1 {
		t.Errorf("%v, %v", m, err)
	}
	if err := Get(t.Context(), socket, "/nothing", &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("of what is not there: %v", err)
	}
	if _, err := Metrics(t.Context(), socket+".none"); err == nil {
		t.Error("a socket that is not there answers")
	}
}
