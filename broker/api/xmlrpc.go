package api

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"mime"
	"net/http"
	"time"

	"switchpoint/broker"
	"switchpoint/healthcheck/isalive"
)

// rpcBound is how long a method may wait for the store.
const rpcBound = 3 * time.Second

// rpcMethod is one that /RPC2 knows.
type rpcMethod struct {
	name      string
	anonymous bool
	answer    func(ctx context.Context) (any, *fault)
}

// rpcMethods are all of them (AL2, SE1).
func (s *Server) rpcMethods() []rpcMethod {
	return []rpcMethod{
		{"broker.isAlive", true, s.rpcIsAlive},
		{"broker.status", false, s.rpcStatus},
		{"cluster.list", false, s.rpcCluster},
		{"system.listMethods", true, s.rpcListMethods},
	}
}

// rpc is POST /RPC2. Faults come with status 200, as the specification has it, except for two that
// balancers and proxies should see as well: 401, and 503 of a broker that is not alive.
func (s *Server) rpc(w http.ResponseWriter, r *http.Request) {
	if t := r.Header.Get("Content-Type"); t != "" {
		if media, _, err := mime.ParseMediaType(t); err != nil || media != "text/xml" && media != "application/xml" {
			writeRPC(w, http.StatusUnsupportedMediaType, faultf(faultInvalid, "the body must be text/xml").response())
			return
		}
	}
	c, bad := readCall(r.Body)
	if bad != nil {
		writeRPC(w, http.StatusOK, bad.response())
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), rpcBound)
	defer cancel()
	value, bad := s.dispatch(ctx, c, r)
	status := http.StatusOK
	switch {
	case bad == nil:
		writeRPC(w, status, responseOf(value))
		return
	case bad.code == faultUnauthorized:
		status = http.StatusUnauthorized
		w.Header().Set("WWW-Authenticate", "Bearer")
	case bad.code == faultUnavailable:
		status = http.StatusServiceUnavailable
	}
	writeRPC(w, status, bad.response())
}

// dispatch finds the method and checks who may call it.
func (s *Server) dispatch(ctx context.Context, c call, r *http.Request) (any, *fault) {
	for _, m := range s.rpcMethods() {
		if m.name != c.method {
			continue
		}
		if !m.anonymous && !s.mayAsk(r) {
			return nil, faultf(faultUnauthorized, "%s needs the admin's bearer token (the node's [admin] token_file)", m.name)
		}
		if c.params > 0 {
			return nil, faultf(faultParams, "%s takes no parameters", m.name)
		}
		return m.answer(ctx)
	}
	return nil, faultf(faultNoMethod, "there is no method %q; system.listMethods names all", cut(c.method))
}

// mayAsk compares in constant time; hashing first makes it independent of the length.
func (s *Server) mayAsk(r *http.Request) bool {
	got, want := sha256.Sum256([]byte(bearer(r))), sha256.Sum256([]byte(s.adminToken))
	return s.adminToken != "" && subtle.ConstantTimeCompare(got[:], want[:]) == 1
}

func writeRPC(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "text/xml; charset=utf-8")
	w.WriteHeader(status)
	w.Write(body) // a client that has gone away cannot be told
}

// rpcIsAlive says what the is_alive page says.
func (s *Server) rpcIsAlive(context.Context) (any, *fault) {
	if a := s.broker.Alive(); a.Status != http.StatusOK {
		return nil, faultf(faultUnavailable, "not alive: %s", s.broker.NotServing())
	}
	return isalive.BodyOK, nil
}

func (s *Server) rpcStatus(context.Context) (any, *fault) {
	n, a := s.broker.Node(), s.broker.Alive()
	return []member{
		{"name", n.Name}, {"site_id", n.SiteID}, {"cluster", s.broker.Cluster()}, {"datacenter", n.Datacenter}, {"version", n.Version},
		{"booted", n.Booted}, {"alive", a.Status == http.StatusOK}, {"reason", s.broker.NotServing()}, {"mode", a.Mode},
		{"active", a.Active}, {"capacity", a.Capacity},
	}, nil
}

func (s *Server) rpcCluster(ctx context.Context) (any, *fault) {
	list, err := s.broker.Brokers(ctx)
	if err != nil {
		s.log.Error("brokers could not be listed", "error", err)
		return nil, faultf(faultInternal, "the database does not say")
	}
	differs := broker.ConfigDifferences(list)
	out := make([]any, len(list))
	for i, n := range list {
		settings := make([]any, len(differs[n.SiteID]))
		for j, name := range differs[n.SiteID] {
			settings[j] = name
		}
		line := []member{
			{"name", n.Name}, {"ip", n.IP}, {"status", string(n.Status)}, {"reason", n.Reason}, {"live", n.Live}, {"version", n.Version},
			{"site_id", n.SiteID}, {"uuid", n.UUID}, {"mac", n.MAC}, {"datacenter", n.Datacenter}, {"booted", n.Booted}, {"missed", n.Missed},
			{"config", broker.FingerprintID(n.Fingerprint)}, {"differs", settings},
		}
		if !n.LastHeartbeat.IsZero() {
			line = append(line, member{"last_heartbeat", n.LastHeartbeat})
		}
		if !n.NextHeartbeat.IsZero() {
			line = append(line, member{"next_heartbeat", n.NextHeartbeat})
		}
		out[i] = line
	}
	return out, nil
}

func (s *Server) rpcListMethods(context.Context) (any, *fault) {
	var names []any
	for _, m := range s.rpcMethods() {
		names = append(names, m.name)
	}
	return names, nil
}
