package api

import (
	"fmt"
	"net/http"

	"switchpoint/broker"
	"switchpoint/broker/agent"
)

// agentInterval is how often agents report; two may be lost until a desktop counts as silent.
const agentInterval = 30

// agentEnrol is POST /agent/v1/enrol.
func (s *Server) agentEnrol(w http.ResponseWriter, r *http.Request) {
	var body agent.EnrolRequest
	r.Body = http.MaxBytesReader(w, r.Body, agent.MaxBody)
	if err := decode(r, &body); err != nil {
		fail(w, err)
		return
	}
	key, desktop, err := s.broker.EnrolAgent(r.Context(), body.Token, body.Desktop, s.clientAddr(r))
	if err != nil {
		fail(w, err)
		return
	}
	writeJSON(w, http.StatusOK, agent.EnrolResponse{Desktop: desktop.Name, Key: key.String(), Interval: agentInterval})
}

// agentHeartbeat is POST /agent/v1/heartbeat.
func (s *Server) agentHeartbeat(w http.ResponseWriter, r *http.Request) {
	key, err := broker.ParseAgentKey(bearer(r))
	if err != nil {
		writeError(w, http.StatusUnauthorized, Reason{Code: broker.CodeAgentUnknown, Text: "The Authorization header has no key of an agent."})
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, agent.MaxBody)
	report, bad := decodeHeartbeat(r)
	if bad != nil {
		fail(w, bad)
		return
	}
	if report.Address == "" {
		report.Address = s.clientAddr(r)
	}
	orders, err := s.broker.AgentHeartbeat(r.Context(), key, report)
	if err != nil {
		fail(w, err)
		return
	}
	out := agent.HeartbeatResponse{Interval: agentInterval}
	if orders.Reset != "" {
		out.Reset = &agent.Reset{ID: orders.Reset, Age: int(max(0, orders.ResetAge).Seconds())}
	}
	writeJSON(w, http.StatusOK, out)
}

// decodeHeartbeat reads a report. Fields that this broker does not know are let through: agents may be
// newer than their brokers for a while.
func decodeHeartbeat(r *http.Request) (broker.AgentReport, *requestError) {
	var body agent.HeartbeatRequest
	if err := decodeLoose(r, &body); err != nil {
		return broker.AgentReport{}, err
	}
	if err := body.Check(); err != nil {
		return broker.AgentReport{}, &requestError{http.StatusBadRequest, codeBadRequest, fmt.Sprintf("The report cannot be used: %v.", err)}
	}
	out := broker.AgentReport{Version: body.Version, Address: body.Address, Load: body.Load, ResetDone: body.ResetDone, Sessions: make([]broker.AgentSession, len(body.Sessions))}
	for i, s := range body.Sessions {
		out.Sessions[i] = broker.AgentSession{User: s.User, State: s.State}
	}
	return out, nil
}
