package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"switchpoint/internal/covers"
)

// TestThreeNodes plays a company with three sites on real processes in network namespaces: what
// cables do to them, what machines do, and what operators do. Scenes follow each other on one
// company; each begins and ends with everything well.
func TestThreeNodes(t *testing.T) {
	covers.Req(t, "GT7", "TP4")
	began := time.Now()
	s := startSites(t)
	t.Logf("started in %.1f s", time.Since(began).Seconds())
	scene := func(name string, play func(*sites)) {
		if t.Failed() {
			return // the company is not as the next scene wants it
		}
		t.Run(name, func(t *testing.T) {
			began, of := time.Now(), s.t
			s.t = t
			defer func() {
				s.t = of
				t.Logf("%.1f s", time.Since(began).Seconds())
			}()
			play(s)
		})
	}
	scene("all agree", allAgree)
	scene("one node's path to a site is cut", pathCut)
	scene("one node is blind", blindNode)
	scene("one node sees only the other nodes", seesOnlyNodes)
	scene("a node alone decides alone", decidesAlone)
	scene("operators on both sides of a partition", operatorsParted)
	scene("a later version wins over a greater name", laterVersionWins)
	scene("a site fails", siteFails)
	scene("a node restarts alone", restartsAlone)
	scene("the DR drill", drDrill)
}

// inTouch waits until every node shows all three in touch and the same version of the operators'
// document.
func (s *sites) inTouch() {
	s.t.Helper()
	s.eventually(patience, "all nodes are in touch and have the same document", func() error {
		var first string
		for _, node := range sitesNodes {
			_, out, errOut := s.try(node, "gtm", "status")
			flat := squeeze(out)
			line, _, _ := strings.Cut(flat[strings.Index(flat+"document:", "document:"):], "\n")
			if first == "" {
				first = line
			}
			if line != first || line == "" {
				return fmt.Errorf("%s has %q, the first one %q\n%s", node, line, first, errOut)
			}
			for _, n := range sitesNodes {
				if !strings.Contains(flat, "\n+ "+n+" ") {
					return fmt.Errorf("%s does not have %s in touch:\n%s", node, n, out)
				}
			}
		}
		return nil
	})
}

// well waits until everybody answers as on the first day.
func (s *sites) well() {
	s.t.Helper()
	s.inTouch()
	s.allAnswer(patience, sitesNodes, "cb.company.com", "us", "us1 us2")
	s.allAnswer(patience, sitesNodes, "cb.company.com", "uk", "uk1")
	s.allAnswer(patience, sitesNodes, "cb.company.com", "de", "de1")
	s.allAnswer(patience, sitesNodes, "bank.company.com", "us", "de1")
}

// allAgree: an order that is given with everybody in touch is acknowledged by all of them at once.
func allAgree(s *sites) {
	s.well()
	out := s.command("uk-gtm", "gtm", "mode", "primary", "--reason", "a word that everybody hears", "--owner", "olga")
	if strings.Contains(out, "WARNING") || !strings.Contains(out, "document version 1:") ||
		!strings.Contains(out, "+ de-gtm") || !strings.Contains(out, "+ us-gtm") {
		s.t.Errorf("gtm mode with everybody in touch printed\n%s", out)
	}
	for _, node := range sitesNodes {
		s.shows(node, []string{"gtm", "status"}, "document: version 1 of uk-gtm", "a word that everybody hears",
			"\n+ de-gtm ", "\n+ uk-gtm ", "\n+ us-gtm ")
	}
}

// pathCut: de-gtm cannot reach the site us, everybody else can. It is outvoted.
func pathCut(s *sites) {
	stop := s.keeps(sitesNodes, "cb.company.com", "us", "us1 us2")
	s.cut("de-gtm", "us1", "us2")
	s.shows("de-gtm", []string{"gtm", "why", "cb.company.com", "us"},
		"+ us is in", "up by 2 of 3: uk-gtm, us-gtm; de-gtm says down; down takes 2")
	s.shows("us-gtm", []string{"gtm", "why", "cb.company.com", "us"}, "up by 2 of 3: uk-gtm, us-gtm; de-gtm says down; down takes 2")
	s.shows("de-gtm", []string{"explain", "--client", sitesClients["us"], "--name", "cb.company.com"}, "de-gtm says down; down takes 2")
	s.net.Heal()
	s.eventually(patience, "de-gtm sees us again", func() error {
		if out := s.command("de-gtm", "gtm", "why", "cb.company.com", "us"); strings.Contains(out, "says down") {
			return errors.New(out)
		}
		return nil
	})
	stop()
	s.well()
}

// blindNode: de-gtm is cut from everything but the test. It keeps what was last agreed, and the
// other two go on: they see uk fail and demote it together.
func blindNode(s *sites) {
	const blind = "de-gtm"
	seeing := []string{"uk-gtm", "us-gtm"}
	stopUS := s.keeps(sitesNodes, "cb.company.com", "us", "us1 us2")
	stopUK := s.keeps([]string{blind}, "cb.company.com", "uk", "uk1")
	s.cut(blind, append(sitesServers, seeing...)...)
	s.shows(blind, []string{"gtm", "status"}, "\n- uk-gtm ", "\n- us-gtm ", "blind", "frozen as up")
	for _, node := range seeing {
		s.shows(node, []string{"gtm", "status"}, "\n- "+blind+" ")
	}
	s.servers["uk1"].kill()
	s.allAnswer(sitesFall*sitesInterval+time.Second+margin, seeing, "cb.company.com", "uk", "de1")
	s.shows("us-gtm", []string{"gtm", "why", "cb.company.com", "uk"}, "- uk is out", "down by 2 of 2: uk-gtm, us-gtm")
	s.shows(blind, []string{"gtm", "why", "cb.company.com", "uk"}, "+ uk is in", "frozen as up")
	stopUK()

	s.net.Heal()
	s.inTouch()
	s.allAnswer(patience, sitesNodes, "cb.company.com", "uk", "de1")
	s.startServer("uk1")
	s.allAnswer(patience, sitesNodes, "cb.company.com", "uk", "uk1")
	stopUS()
	s.well()
}

// seesOnlyNodes: de-gtm reaches neither anchor nor members, but the other nodes. It abstains, says so,
// and follows what the others agree on.
func seesOnlyNodes(s *sites) {
	const blind = "de-gtm"
	stop := s.keeps(sitesNodes, "cb.company.com", "us", "us1 us2")
	s.cut(blind, sitesServers...)
	for _, node := range sitesNodes {
		s.shows(node, []string{"gtm", "status"}, "\n- "+blind+" ", "blind: it reaches none of its anchors and abstains",
			"\n+ uk-gtm ", "\n+ us-gtm ")
	}
	s.shows(blind, []string{"gtm", "why", "cb.company.com", "us"}, "+ us is in", "up by 2 of 2: uk-gtm, us-gtm")
	s.servers["uk1"].kill()
	s.allAnswer(sitesFall*sitesInterval+time.Second+margin, sitesNodes, "cb.company.com", "uk", "de1")
	for _, node := range sitesNodes {
		s.shows(node, []string{"gtm", "why", "cb.company.com", "uk"}, "- uk is out", "down by 2 of 2: uk-gtm, us-gtm")
	}
	s.startServer("uk1")
	s.net.Heal()
	s.well()
	stop()
}

// decidesAlone: us-gtm is cut from the other nodes and from the site uk, and reaches its anchor. Its
// own view is all that it has, and good enough; the others outvote nobody and go on.
func decidesAlone(s *sites) {
	const alone = "us-gtm"
	others := []string{"de-gtm", "uk-gtm"}
	stop := s.keeps(others, "cb.company.com", "uk", "uk1")
	s.part(alone, others)
	s.cut(alone, "uk1")
	s.allAnswer(patience, []string{alone}, "cb.company.com", "uk", "de1")
	s.shows(alone, []string{"gtm", "why", "cb.company.com", "uk"}, "- uk is out", "timed out while connecting")
	s.net.Heal()
	s.well()
	stop()
}

// operatorsParted: one word on each side of a partition, both the same version. That of the node
// with the greater name stays, uk-gtm's; the side that loses says so in its log.
func operatorsParted(s *sites) {
	const alone = "uk-gtm"
	majority := []string{"de-gtm", "us-gtm"}
	s.part(alone, majority)

	// Each waits for a while for those that it cannot reach.
	mode := s.begin(alone, "gtm", "mode", "dr", "--reason", "the line to the others is dead", "--owner", "ugo")
	s.warned(s.command("de-gtm", "gtm", "force", "*/us", "down", "--reason", "drill", "--owner", "dora"), 1, "+ us-gtm", "- uk-gtm")
	s.warned(mode(), 2, "- de-gtm", "- us-gtm")
	s.allAnswer(patience, majority, "cb.company.com", "us", "uk1")
	s.allAnswer(patience, []string{alone}, "cb.company.com", "us", "us1 us2")
	s.allAnswer(patience, []string{alone}, "bank.company.com", "us", "dr1")
	s.allAnswer(patience, majority, "bank.company.com", "us", "de1")

	s.net.Heal()
	s.inTouch()
	for _, node := range sitesNodes {
		s.shows(node, []string{"gtm", "status"}, "mode: dr, since", "ugo: the line to the others is dead", "of uk-gtm, made at")
	}
	s.allAnswer(patience, sitesNodes, "bank.company.com", "us", "dr1")
	s.allAnswer(patience, sitesNodes, "cb.company.com", "us", "us1 us2")
	s.mourned("override */us down by dora", "(drill)", majority...)

	out := s.command(alone, "gtm", "mode", "primary", "--reason", "the line is back", "--owner", "ugo")
	if strings.Contains(out, "WARNING") {
		s.t.Errorf("a warning with everybody in touch:\n%s", out)
	}
	s.well()
}

// laterVersionWins: two words on the side with the smaller name count before one on the other.
func laterVersionWins(s *sites) {
	const alone = "us-gtm"
	majority := []string{"de-gtm", "uk-gtm"}
	s.part(alone, majority)
	force := s.begin(alone, "gtm", "force", "cb.company.com/uk", "down", "--reason", "lost word", "--owner", "ulla")
	for _, datacenter := range []string{"us", "de"} {
		out := s.command("de-gtm", "gtm", "force", "cb.company.com/"+datacenter, "maintenance", "--reason", "new racks", "--owner", "dora")
		s.warned(out, 1, "+ uk-gtm", "- us-gtm")
	}
	s.warned(force(), 2, "- de-gtm", "- uk-gtm")
	s.net.Heal()
	s.inTouch()
	for _, node := range sitesNodes {
		s.shows(node, []string{"gtm", "status"}, "of de-gtm, made at", "cb.company.com/us maintenance now until released by dora: new racks",
			"cb.company.com/de maintenance now until released by dora: new racks")
	}
	s.allAnswer(patience, sitesNodes, "cb.company.com", "us", "uk1")
	s.mourned("override cb.company.com/uk down by ulla", "(lost word)", alone)
	s.command("us-gtm", "gtm", "release", "cb.company.com", "--owner", "ulla")
	s.well()
}

// part cuts a node from the other nodes, and from nothing else, until both sides have noticed.
func (s *sites) part(alone string, others []string) {
	s.t.Helper()
	s.cut(alone, others...)
	for _, node := range others {
		s.shows(node, []string{"gtm", "status"}, "\n- "+alone+" ")
		s.shows(alone, []string{"gtm", "status"}, "\n- "+node+" ")
	}
}

// warned wants a warning of so many nodes in what a command printed, and a line for each node.
func (s *sites) warned(out string, without int, nodes ...string) {
	s.t.Helper()
	if !strings.Contains(out, fmt.Sprintf("WARNING: %d of ", without)) {
		s.t.Errorf("no warning of %d nodes in\n%s", without, out)
	}
	for _, n := range nodes {
		if !strings.Contains(out, "  "+n) {
			s.t.Errorf("no line %q in\n%s", n, out)
		}
	}
}

// mourned wants the nodes of the losing side to have logged what was lost there.
func (s *sites) mourned(what, why string, nodes ...string) {
	s.t.Helper()
	for _, node := range nodes {
		s.eventually(patience, node+" logs what was lost", func() error {
			for line := range strings.Lines(s.log(node)) {
				if strings.Contains(line, "level=WARN") && strings.Contains(line, "what operators said was replaced") &&
					strings.Contains(line, what) && strings.Contains(line, why) {
					return nil
				}
			}
			return fmt.Errorf("no warning of %q %q", what, why)
		})
	}
}

// siteFails: when us really dies, every node has it out within fall x interval + 1 s, and has it
// back after it lives again.
func siteFails(s *sites) {
	const promised = sitesFall*sitesInterval + time.Second
	died := time.Now()
	s.servers["us1"].kill()
	s.servers["us2"].kill()
	s.allAnswer(promised+margin, sitesNodes, "cb.company.com", "us", "uk1")
	s.t.Logf("all three nodes answer uk %s after the death of us; promised are %s", time.Since(died).Round(time.Millisecond), promised)
	for _, node := range sitesNodes {
		s.shows(node, []string{"gtm", "why", "cb.company.com", "us"}, "- us is out", "down by 3 of 3: de-gtm, uk-gtm, us-gtm")
	}
	s.startServer("us1")
	s.startServer("us2")
	s.well()
}

// restartsAlone: a node that starts while it is cut from the others still knows from its disk what
// operators have said, and takes part again when the line is back.
func restartsAlone(s *sites) {
	const node = "us-gtm"
	others := []string{"de-gtm", "uk-gtm"}
	s.command(node, "gtm", "force", "cb.company.com/us", "draining", "--reason", "new floor", "--owner", "ulla")
	s.allAnswer(patience, sitesNodes, "cb.company.com", "us", "uk1")
	stop := s.keeps(others, "cb.company.com", "us", "uk1")
	s.nodes[node].stop()
	s.cut(node, others...)
	s.startNode(node)
	s.awaitReady(node)
	s.shows(node, []string{"gtm", "status"}, "cb.company.com/us draining now until released by ulla: new floor", "\n- de-gtm ", "\n- uk-gtm ")
	if err := s.missing(node, "cb.company.com", "us", "uk1"); err != nil {
		s.t.Errorf("after the restart: %v", err)
	}
	s.net.Heal()
	s.inTouch()
	stop()
	out := s.command("de-gtm", "gtm", "release", "cb.company.com/us", "--owner", "dora")
	if strings.Contains(out, "WARNING") || !strings.Contains(out, "+ us-gtm") {
		s.t.Errorf("the restarted node has not acknowledged:\n%s", out)
	}
	s.well()
}

// drDrill (TP4): the switch to DR is refused while DR is dead, done with --force or when it lives,
// and undone.
func drDrill(s *sites) {
	s.servers["dr1"].kill()
	s.shows("us-gtm", []string{"gtm", "why", "bank.company.com", "uk"}, "down by 3 of 3")
	code, out, errOut := s.try("us-gtm", "gtm", "mode", "dr", "--reason", "drill", "--owner", "ulla")
	if code == 0 || !strings.Contains(errOut, "nothing was changed") || !strings.Contains(errOut, "or force it") || !strings.Contains(errOut, "bank.company.com") {
		s.t.Errorf("to a dead DR site: exit %d\n%s%s", code, out, errOut)
	}
	s.allAnswer(0, sitesNodes, "bank.company.com", "us", "de1")

	// The mode is the operator's, --force too: then the all-down policy of the name applies.
	s.command("us-gtm", "gtm", "mode", "dr", "--reason", "drill", "--owner", "ulla", "--force")
	for _, node := range sitesNodes {
		s.shows(node, []string{"gtm", "status", "bank.company.com"}, "mode dr ALL DOWN")
	}
	s.startServer("dr1")
	for _, node := range sitesNodes {
		s.shows(node, []string{"gtm", "why", "bank.company.com", "uk"}, "+ uk is in", s.page("dr1")+" is up for")
	}
	s.allAnswer(patience, sitesNodes, "bank.company.com", "us", "dr1")
	s.command("de-gtm", "gtm", "mode", "primary", "--reason", "end of the drill", "--owner", "dora")
	s.allAnswer(patience, sitesNodes, "bank.company.com", "us", "de1")

	out = s.command("uk-gtm", "gtm", "mode", "dr", "--reason", "flood in Frankfurt", "--owner", "ugo")
	if !strings.Contains(out, "- bank.company.com de is out") || !strings.Contains(out, "+ bank.company.com uk is in") {
		s.t.Errorf("gtm mode does not tell what it did:\n%s", out)
	}
	s.allAnswer(patience, sitesNodes, "bank.company.com", "us", "dr1")
	for _, node := range sitesNodes {
		s.shows(node, []string{"gtm", "status"}, "mode: dr, since", "by ugo: flood in Frankfurt")
	}
	s.command("uk-gtm", "gtm", "mode", "primary", "--reason", "dry again", "--owner", "ugo")
	s.well()
}
