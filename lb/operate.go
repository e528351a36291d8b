package lb

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"switchpoint/internal/keptfile"
)

// wordsFile is what operators have said, in the state directory.
const wordsFile = "lb-words.json"

// Operate puts an operator's word on a member into force at once, and keeps it over reloads and
// restarts. Pool and member must be in force now; the member may be given by name or address.
// Set, Version and Node are filled in here. Where the word cannot be kept, nothing changes.
func (p *Proxy) Operate(w Word) error {
	live := p.live.Load()
	if live == nil {
		return errors.New("the balancer has no configuration yet; try again when it serves")
	}
	now := time.Now()
	w.Set, w.Node = now.UTC(), p.node
	if err := w.validate(now); err != nil {
		return err
	}
	var err error
	if w.Member, err = live.address(w.Pool, w.Member); err != nil {
		return err
	}
	p.operating.Lock()
	defer p.operating.Unlock()
	ws := p.words.Load().words
	w.Version = ws.version() + 1
	said := []Word{w}
	if _, weighed := ws.hold(wordKey{w.Pool, w.Member, true}, now); w.Do == Enable && weighed {
		back := w
		back.Do, back.Weight = Weight, AsConfigured
		said = append(said, back)
	}
	next, taken := ws.with(said, now)
	set := &wordSet{next, next.encode()}
	if taken < len(said) || len(set.bytes) > maxWordBytes {
		return fmt.Errorf("operators have said of %d members something already, which is as much as is kept; enable some", len(ws))
	}
	if err := p.keepWords(set); err != nil {
		return err
	}
	p.useWords(set, now)
	p.log.Info("lb: an operator has said something", "pool", w.Pool, "member", w.Member, "do", w.Do, "weight", w.Weight, "owner", w.Owner, "reason", w.Reason)
	return nil
}

// address finds a member of a pool by name or address.
func (l *live) address(pool, member string) (string, error) {
	var have []string
	for _, lp := range l.pools {
		have = append(have, lp.name)
		if lp.name != pool {
			continue
		}
		have = nil
		for _, m := range lp.members {
			if m.name == member || m.address == member {
				return m.address, nil
			}
			have = append(have, m.name)
		}
		return "", fmt.Errorf("pool %q has no member %q; it has %s", pool, cutWord(member), strings.Join(have, ", "))
	}
	return "", fmt.Errorf("there is no pool %q; there are %s", cutWord(pool), strings.Join(have, ", "))
}

// WordBytes are all that operators have said here or at another node, the last of each, as other
// nodes get it: the same bytes for the same words. Those that take something back and those that
// are over are among them: other nodes need them.
func (p *Proxy) WordBytes() []byte { return p.words.Load().bytes }

// AdoptWords takes the WordBytes of another node: of two on the same thing the newer one holds.
// Malformed ones, and versions that no operators can have reached, change nothing. What was taken
// holds even where it cannot be kept on disk; the error says so.
func (p *Proxy) AdoptWords(node string, b []byte) error {
	more, err := parseWords(b)
	if err != nil {
		return err
	}
	p.operating.Lock()
	defer p.operating.Unlock()
	now, ws := time.Now(), p.words.Load().words
	if theirs := more.version(); theirs > ws.version()+maxAhead {
		return fmt.Errorf("version %d of operators' words is too far ahead of version %d here to be of operators: stop every lb node that has it, remove its %s and start it again", theirs, ws.version(), wordsFile)
	}
	next, taken := ws.with(more.list(), now)
	if taken == 0 {
		return nil
	}
	set := &wordSet{next, next.encode()}
	if len(set.bytes) > maxWordBytes {
		return fmt.Errorf("with the words of node %s there would be %d bytes of them, at most %d are kept", node, len(set.bytes), maxWordBytes)
	}
	err = p.keepWords(set)
	p.useWords(set, now)
	p.log.Info("lb: operators have said something at another node", "node", node, "words", taken)
	return err
}

// keepWords writes them to the state directory, if there is one. p.operating is held.
func (p *Proxy) keepWords(set *wordSet) error {
	if p.stateDir == "" {
		return nil
	}
	if err := keptfile.Write(p.stateDir, wordsFile, set.bytes); err != nil {
		return fmt.Errorf("keep what operators said: %w", err)
	}
	return nil
}

// loadWords reads what was kept. A file that cannot be used is set aside and reported: the
// balancer then starts with its members as configured.
func (p *Proxy) loadWords() {
	ws := words{}
	if p.stateDir != "" {
		err := keptfile.Read(p.stateDir, wordsFile, maxWordBytes, func(b []byte) (err error) {
			ws, err = parseWords(b)
			return err
		})
		if err != nil {
			p.log.Error("lb: drained and disabled members are forgotten: they serve again", "error", err)
		}
	}
	ws, _ = ws.with(nil, time.Now()) // without what the other nodes have forgotten meanwhile
	p.words.Store(&wordSet{ws, ws.encode()})
}

// encode is what parseWords reads.
func (ws words) encode() []byte {
	b, err := json.Marshal(ws.list())
	if err != nil {
		panic(fmt.Sprintf("lb: a word that was checked cannot be written: %v", err))
	}
	return append(b, '\n')
}

// parseWords reads words of a file or of another node. Fields that only a newer node knows are passed
// over.
func parseWords(b []byte) (words, error) {
	if len(b) > maxWordBytes {
		return nil, fmt.Errorf("%d bytes of operators' words are too many, at most %d are possible", len(b), maxWordBytes)
	}
	var list []Word
	if err := json.Unmarshal(b, &list); err != nil {
		return nil, fmt.Errorf("decode what operators said: %w", err)
	}
	if len(list) > maxWords {
		return nil, fmt.Errorf("%d words of operators are too many, at most %d are possible", len(list), maxWords)
	}
	for i := range list {
		if err := list[i].wellFormed(); err != nil {
			return nil, fmt.Errorf("word %d: %w", i, err)
		}
	}
	ws, _ := words{}.with(list, time.Time{})
	return ws, nil
}

// useWords puts a set into force.
func (p *Proxy) useWords(set *wordSet, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.words.Store(set)
	p.overlayAll(p.live.Load(), now)
}

// overlayAll makes the overlays of all pools anew, and lets those who wait for a place look
// again. p.mu is held.
func (p *Proxy) overlayAll(l *live, now time.Time) {
	ws := p.words.Load()
	p.wordsTurn = ws.turns(now)
	if l == nil {
		return
	}
	for _, lp := range l.pools {
		lp.over.Store(ws.overlay(&lp.poolTable, now))
		lp.wakeAll()
	}
}

// turnWords puts deadlines and expiries into force that have come, and forgets what is over for
// long: on all nodes at the same time, or one would bring it back to the other.
func (p *Proxy) turnWords(now time.Time) {
	p.mu.Lock()
	due := !p.wordsTurn.IsZero() && !now.Before(p.wordsTurn)
	p.mu.Unlock()
	if !due {
		return
	}
	p.operating.Lock()
	defer p.operating.Unlock()
	ws, _ := p.words.Load().with(nil, now)
	p.useWords(&wordSet{ws, ws.encode()}, now)
}

// holding are the words that hold for a member now.
func (lp *livePool) holding(i int) []Word {
	if o := lp.over.Load(); o != nil {
		return slices.Clone(o.members[i].words)
	}
	return nil
}
