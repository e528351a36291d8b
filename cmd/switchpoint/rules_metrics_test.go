package main

import (
	"fmt"
	"go/ast"
	"go/constant"
	"go/types"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
)

const metricPrefix = "switchpoint_"

// metric is one metric as the source declares it. The source, not a running
// registry, is asked: a vector without values yet shows up in no registry.
type metric struct {
	place, name, help string
	kind              dto.MetricType
}

func TestRuleMetricNames(t *testing.T) {
	found := 0
	for _, p := range modulePackages(t) {
		metrics := declaredMetrics(mustParse(t, p, p.sources()))
		found += len(metrics)
		complain(t, metricComplaints(metrics))
	}
	if found == 0 {
		t.Error("no metric was found, so nothing was checked")
	}
}

func TestRuleMetricNamesFindsBreaches(t *testing.T) {
	sample := func(line string) []string {
		return metricComplaints(declaredMetrics(parseSample(t, "package sample\nconst ns = \"switchpoint_\"\n"+line)))
	}
	wantComplaints(t, sample(`var _ = prometheus.NewCounter(prometheus.CounterOpts{Name: ns + "lost_total", Help: "Lost " + "things."})`))
	wantComplaints(t, sample(`var _ = gauge(reg, "switchpoint_active", "Active things.")`))
	wantComplaints(t, sample(`var _ = prometheus.CounterOpts{Name: "switchpoint_lost", Help: "Lost things."}`),
		`sample.go:3: switchpoint_lost: counter metrics should have "_total" suffix`)
	wantComplaints(t, sample(`var _ = prometheus.HistogramOpts{Name: "switchpoint_login_milliseconds", Help: "Time."}`),
		`sample.go:3: switchpoint_login_milliseconds: use base unit "seconds" instead of "milliseconds"`)
	wantComplaints(t, sample(`var _ = prometheus.GaugeOpts{Name: "switchpoint_up"}`),
		`sample.go:3: switchpoint_up: no help text`)
	wantComplaints(t, sample(`var _ = prometheus.GaugeOpts{Name: "lb_up", Help: "Up."}`),
		`sample.go:3: lb_up: does not begin with switchpoint_`)
	wantComplaints(t, sample(`var _ = gauge(reg, "switchpoint_lbActive", "Active things.")`),
		`sample.go:3: switchpoint_lbActive: metric names should be written in 'snake_case' not 'camelCase'`)
}

// declaredMetrics returns what is declared by Opts literals of client_golang,
// with kind and help, and every other string that is a metric's name, such as
// an argument of prometheus.NewDesc or of a helper.
func declaredMetrics(p *parsed) []metric {
	var metrics []metric
	inOpts := make(map[ast.Expr]bool)
	for _, file := range p.files {
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CompositeLit:
				kind, ok := optsKind(n.Type)
				if !ok {
					return true
				}
				m := metric{place: p.place(n.Pos()), kind: kind}
				for _, elt := range n.Elts {
					m.take(p, elt, inOpts)
				}
				if m.name != "" {
					metrics = append(metrics, m)
				}
			case ast.Expr:
				// A name given elsewhere: kind and help are not known here.
				name, ok := p.constString(n)
				if ok && !inOpts[n] && isMetricName(name) {
					inOpts[n] = true
					metrics = append(metrics, metric{p.place(n.Pos()), name, "unknown here", dto.MetricType_UNTYPED})
					return false
				}
				return !ok
			}
			return true
		})
	}
	return metrics
}

// take reads one field of an Opts literal. A name that is no constant is given
// by the caller of a helper and found there.
func (m *metric) take(p *parsed, elt ast.Expr, seen map[ast.Expr]bool) {
	field, ok := elt.(*ast.KeyValueExpr)
	if !ok {
		return
	}
	text, isConst := p.constString(field.Value)
	switch types.ExprString(field.Key) {
	case "Name":
		m.name = text
		seen[field.Value] = true
	case "Help":
		m.help = text
		if !isConst {
			m.help = "given by the caller"
		}
	}
}

func optsKind(typ ast.Expr) (dto.MetricType, bool) {
	if typ == nil {
		return 0, false
	}
	switch types.ExprString(typ) {
	case "prometheus.CounterOpts":
		return dto.MetricType_COUNTER, true
	case "prometheus.GaugeOpts":
		return dto.MetricType_GAUGE, true
	case "prometheus.HistogramOpts":
		return dto.MetricType_HISTOGRAM, true
	case "prometheus.SummaryOpts":
		return dto.MetricType_SUMMARY, true
	}
	return 0, false
}

// constString returns the text of a constant string expression.
func (p *parsed) constString(e ast.Expr) (string, bool) {
	value := p.info.Types[e].Value
	if value == nil || value.Kind() != constant.String {
		return "", false
	}
	return constant.StringVal(value), true
}

// isMetricName tells a metric's name from the bare prefix and from sentences.
func isMetricName(s string) bool {
	return strings.HasPrefix(s, metricPrefix) && s != metricPrefix && !strings.ContainsAny(s, " %\n=/.")
}

func metricComplaints(metrics []metric) []string {
	var complaints []string
	for _, m := range metrics {
		if !strings.HasPrefix(m.name, metricPrefix) {
			complaints = append(complaints, fmt.Sprintf("%s: %s: does not begin with %s", m.place, m.name, metricPrefix))
		}
		family := &dto.MetricFamily{Name: &m.name, Type: &m.kind, Metric: []*dto.Metric{{}}}
		if m.help != "" {
			family.Help = &m.help
		}
		problems, err := promlint.NewWithMetricFamilies([]*dto.MetricFamily{family}).Lint()
		if err != nil {
			complaints = append(complaints, fmt.Sprintf("%s: %s: %v", m.place, m.name, err))
		}
		for _, problem := range problems {
			if m.kind == dto.MetricType_UNTYPED && strings.Contains(problem.Text, "_total") {
				continue // it may well be a counter
			}
			complaints = append(complaints, fmt.Sprintf("%s: %s: %s", m.place, problem.Metric, problem.Text))
		}
	}
	return complaints
}
