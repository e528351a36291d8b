package demodir

import (
	"errors"
	"sync"
	"sync/atomic"

	"github.com/jimlambrt/gldap"
)

// handlers answers gldap's requests from the tree and keeps who is bound. gldap runs the
// requests of a connection concurrently.
type handlers struct {
	tree     *tree
	stopping atomic.Bool

	mu      sync.Mutex
	service map[int]bool // by connection: bound as ServiceDN
}

func newHandlers(t *tree) *handlers { return &handlers{tree: t, service: make(map[int]bool)} }

// router says which handler answers what. What gldap cannot route, such as compare or a SASL
// bind, ends the connection.
func (h *handlers) router() (*gldap.Mux, error) {
	m, err := gldap.NewMux()
	if err != nil {
		return nil, err
	}
	return m, errors.Join(
		m.Bind(h.bind),
		m.Search(h.search),
		m.Add(readOnly(gldap.ApplicationAddResponse)),
		m.Modify(readOnly(gldap.ApplicationModifyResponse)),
		m.Delete(readOnly(gldap.ApplicationDelResponse)),
		m.DefaultRoute(unsupported),
	)
}

func (h *handlers) bind(w *gldap.ResponseWriter, r *gldap.Request) {
	h.forget(r.ConnectionID()) // whatever comes of it, the old identity is gone (RFC 4511, 4.2.1)
	m, err := r.GetSimpleBindMessage()
	if err != nil {
		return // not a bind; the router does not let that happen
	}
	res, service := outcome{gldap.ResultUnavailable, "the demo directory stops"}, false
	if !h.stopping.Load() {
		res, service = h.tree.bind(m.UserName, string(m.Password))
	}
	if service {
		h.mu.Lock()
		h.service[r.ConnectionID()] = true
		h.mu.Unlock()
	}
	answer := r.NewBindResponse(gldap.WithResponseCode(res.code))
	answer.SetDiagnosticMessage(res.text)
	_ = w.Write(answer) // it fails when the client is gone
}

func (h *handlers) search(w *gldap.ResponseWriter, r *gldap.Request) {
	m, err := r.GetSearchMessage()
	if err != nil {
		return // not a search; the router does not let that happen
	}
	h.mu.Lock()
	service := h.service[r.ConnectionID()]
	h.mu.Unlock()
	var entries []found
	res := outcome{gldap.ResultUnavailable, "the demo directory stops"}
	if !h.stopping.Load() {
		entries, res = h.tree.answer(m, service)
	}
	for _, e := range entries {
		answer := r.NewSearchResponseEntry(e.dn)
		for _, a := range e.attributes {
			answer.AddAttribute(a.name, a.values)
		}
		if err := w.Write(answer); err != nil {
			return // the client is gone
		}
	}
	done := r.NewSearchDoneResponse(gldap.WithResponseCode(res.code))
	done.SetDiagnosticMessage(res.text)
	_ = w.Write(done)
}

// forget drops what is known of a connection.
func (h *handlers) forget(connection int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.service, connection)
}

// readOnly refuses an operation that writes.
func readOnly(response int) gldap.HandlerFunc {
	return func(w *gldap.ResponseWriter, r *gldap.Request) {
		_ = w.Write(r.NewResponse(gldap.WithApplicationCode(response), gldap.WithResponseCode(gldap.ResultUnwillingToPerform),
			gldap.WithMatchedDN(""), gldap.WithDiagnosticMessage("the demo directory is read-only")))
	}
}

// unsupported refuses extended operations, StartTLS among them (RFC 4511, 4.12).
func unsupported(w *gldap.ResponseWriter, r *gldap.Request) {
	answer := r.NewExtendedResponse(gldap.WithResponseCode(gldap.ResultProtocolError))
	answer.SetDiagnosticMessage("not supported by the demo directory")
	_ = w.Write(answer)
}
