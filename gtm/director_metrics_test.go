package gtm

import (
	"testing"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
)

// TestMetricsNameNamesAlike: a name has one label in all metrics, however the configuration writes it.
func TestMetricsNameNamesAlike(t *testing.T) {
	cfg := goodConfig()
	cfg.Names[0].Name, cfg.Names[0].Monitor = "CB.Company.com", ""
	reg := prometheus.NewRegistry()
	_, addr := startServer(t, Options{Metrics: reg}, compiled(t, cfg))
	ask(t, "udp", addr, "cb.company.com.", dns.TypeA)
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetName() != "name" {
					continue
				}
				if seen++; l.GetValue() != "cb.company.com." {
					t.Errorf("%s has the name %q", f.GetName(), l.GetValue())
				}
			}
		}
	}
	if seen < 4 {
		t.Errorf("%d metrics have a name", seen)
	}
}
