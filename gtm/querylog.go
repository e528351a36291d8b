package gtm

import (
	"cmp"
	"context"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"

	"switchpoint/internal/linefile"
)

// DefaultSample is the default of QueryLog.Sample.
const DefaultSample = 100

// queryLogQueue is how many sampled queries may wait for the disk: above that they are lost and
// counted, because no query ever waits for it.
const queryLogQueue = 4096

// queryLogFlush is how long a line may stay in memory.
const queryLogFlush = time.Second

// queryLog writes a sample of the queries to the file that the table of the moment names. The
// query path only counts and, for one of so many, puts a small struct into a bounded channel; one
// goroutine (run) owns the file.
type queryLog struct {
	seen  atomic.Uint64
	queue chan loggedQuery
	lost  *prometheus.CounterVec
	log   *slog.Logger
}

// Why a sampled query is not in the file.
const (
	lostBusy  = "busy"  // the disk is slower than the queries
	lostWrite = "write" // the file cannot be written
)

// loggedQuery is a sampled query.
type loggedQuery struct {
	at        time.Time
	client    netip.Addr
	subnet    netip.Prefix
	transport string
	outcome
}

func newQueryLog(lost *prometheus.CounterVec, log *slog.Logger) *queryLog {
	return &queryLog{queue: make(chan loggedQuery, queryLogQueue), lost: lost, log: log}
}

// take may note one answered query. It never blocks.
func (l *queryLog) take(cfg QueryLog, at time.Time, client netip.Addr, transport string, o outcome) {
	if cfg.File == "" || l.seen.Add(1)%uint64(max(cfg.Sample, 1)) != 0 {
		return
	}
	q := loggedQuery{at: at, client: client, subnet: options{subnet: o.subnet}.network(), transport: transport, outcome: o}
	q.outcome.subnet = nil // the packet's buffer is used again
	select {
	case l.queue <- q:
	default:
		l.lost.WithLabelValues(lostBusy).Inc()
	}
}

// run writes until ctx ends, and then what is left. config gives the settings of the moment.
func (l *queryLog) run(ctx context.Context, config func() QueryLog) error {
	f := l.file()
	defer f.Close()
	tick := time.NewTicker(queryLogFlush)
	defer tick.Stop()
	for {
		select {
		case q := <-l.queue:
			f.add(q.line())
			if f.full() {
				f.flush(config().File)
			}
		case <-tick.C:
			f.flush(config().File)
		case <-ctx.Done():
			l.rest(f)
			f.flush(config().File)
			return nil
		}
	}
}

func (l *queryLog) file() *queryFile {
	return &queryFile{File: linefile.New(linefile.Options{Name: "the query log", Log: l.log, Lost: l.lost.WithLabelValues(lostWrite)})}
}

// rest takes what waits in the queue.
func (l *queryLog) rest(f *queryFile) {
	for {
		select {
		case q := <-l.queue:
			f.add(q.line())
		default:
			return
		}
	}
}

// queryLine is a query as it stands in the file.
type queryLine struct {
	Time       time.Time    `json:"time"`
	Client     netip.Addr   `json:"client"`
	Subnet     netip.Prefix `json:"subnet,omitzero"`
	Transport  string       `json:"transport"`
	Name       string       `json:"name"`
	Type       string       `json:"type"`
	Steered    string       `json:"steered,omitempty"` // the steered name or the zone behind the answer
	Datacenter string       `json:"datacenter,omitempty"`
	Policy     string       `json:"policy,omitempty"`
	Rcode      string       `json:"rcode"`
	Scope      int          `json:"scope"`
	TTL        uint32       `json:"ttl"`
}

func (q loggedQuery) line() queryLine {
	return queryLine{
		Time: q.at.UTC(), Client: q.client, Subnet: q.subnet, Transport: q.transport,
		Name: q.question, Type: dns.Type(q.qtype).String(), Steered: q.name, Datacenter: q.datacenter,
		Policy: q.policy, Rcode: rcodeText(q.rcode), Scope: q.scope, TTL: q.ttl,
	}
}

// maxSample bounds QueryLog.Sample.
const maxSample = 1_000_000_000

// queryLogDefaults fills the unset values.
func (c *Config) queryLogDefaults() {
	c.QueryLog.Sample = cmp.Or(c.QueryLog.Sample, DefaultSample)
}

// queryLog checks [gtm.query_log].
func (v *validator) queryLog() {
	v.between("query_log.sample", "as one of so many queries", v.cfg.QueryLog.Sample, maxSample)
}

// queryLog gives the settings of now.
func (s *Server) queryLog() QueryLog {
	if t := s.table(); t != nil {
		return t.queryLog
	}
	return QueryLog{}
}
