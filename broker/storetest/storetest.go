package storetest

import (
	"context"
	"io"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"switchpoint/broker"
)

// Store is what the suite needs of a store under test.
type Store interface {
	broker.Store
	io.Closer
}

// Run proves the contract. fresh makes an empty database and returns a func that opens a handle
// on it; several handles stand for several broker processes. The suite closes the handles.
func Run(t *testing.T, fresh func(t *testing.T) (open func() Store)) {
	for _, c := range []struct {
		name string
		test func(*testing.T, *bench)
	}{
		{"Join", testJoin},
		{"JoinAtOnce", testJoinAtOnce},
		{"Fencing", testFencing},
		{"JoinVersion", testJoinVersion},
		{"JoinUUID", testJoinUUID},
		{"Status", testStatus},
		{"Unavailable", testUnavailable},
		{"Remove", testRemove},
		{"RemovedSiteID", testRemovedSiteID},
		{"Detach", testDetach},
		{"JobLife", testJobLife},
		{"JobChoice", testJobChoice},
		{"JobRecurring", testJobRecurring},
		{"JobUnique", testJobUnique},
		{"JobLost", testJobLost},
		{"JobLostOften", testJobLostOften},
		{"JobCancel", testJobCancel},
		{"JobAgain", testJobAgain},
		{"JobFenced", testJobFenced},
		{"JobsAtOnce", testJobsAtOnce},
		{"JobList", testJobList},
		{"JobPages", testJobPages},
		{"JobPurge", testJobPurge},
		{"JobReassign", testJobReassign},
		{"PoolStatistics", testPoolStatistics},
		{"BusiestHour", testBusiestHour},
		{"HostLoad", testHostLoad},
		{"ReleaseExpired", testReleaseExpired},
		{"SetupRoundTrip", testSetupRoundTrip},
		{"SetupConflict", testSetupConflict},
		{"SetupKeepsIdentity", testSetupKeepsIdentity},
		{"LoginOffers", testLoginOffers},
		{"LoginWithoutOffers", testLoginWithoutOffers},
		{"LoginKey", testLoginKey},
		{"LoginKeyAtOnce", testLoginKeyAtOnce},
		{"LoginKeyRedirect", testLoginKeyRedirect},
		{"Ticket", testTicket},
		{"TicketRefused", testTicketRefused},
		{"TicketKey", testTicketKey},
		{"TicketAtOnce", testTicketAtOnce},
		{"TicketPurge", testTicketPurge},
		{"TicketSeed", testTicketSeed},
		{"SessionReopened", testSessionReopened},
		{"SessionExpires", testSessionExpires},
		{"SessionIdle", testSessionIdle},
		{"Connect", testConnect},
		{"ConnectKey", testConnectKey},
		{"ConnectKeyOutlived", testConnectKeyOutlived},
		{"ConnectNotOffered", testConnectNotOffered},
		{"ConnectTakeOver", testConnectTakeOver},
		{"Maintenance", testMaintenance},
		{"NoDoubleClaim", testNoDoubleClaim},
		{"OneSlotAtOnce", testOneSlotAtOnce},
		{"ConnectKeyAtOnce", testConnectKeyAtOnce},
		{"LogoutAgainstConnect", testLogoutAgainstConnect},
		{"SetupAgainstConnect", testSetupAgainstConnect},
		{"PoolMoves", testPoolMoves},
		{"Enrol", testEnrol},
		{"AgentBeats", testAgentBeats},
		{"AgentRelease", testAgentRelease},
		{"AgentHolds", testAgentHolds},
		{"Reset", testReset},
		{"Probes", testProbes},
		{"Start", testStart},
		{"Assigned", testAssigned},
		{"Scan", testScan},
		{"ScanNames", testScanNames},
		{"Desktops", testDesktops},
		{"DesktopMaintenance", testDesktopMaintenance},
		{"CenterState", testCenterState},
		{"PoolRules", testPoolRules},
		{"BackupPool", testBackupPool},
		{"ReleaseDelay", testReleaseDelay},
		{"OfferOrder", testOfferOrder},
		{"SessionLimit", testSessionLimit},
		{"SessionLimitDelay", testSessionLimitDelay},
		{"ImportAssignments", testImportAssignments},
		{"ImportSetup", testImportSetup},
		{"OffersLogged", testOffersLogged},
		{"Log", testLog},
		{"Limits", testLimits},
		{"LimitsTwice", testLimitsTwice},
		{"LimitBlocks", testLimitBlocks},
		{"LimitExcept", testLimitExcept},
		{"LimitLift", testLimitLift},
		{"LimitPurge", testLimitPurge},
		{"LimitsTogether", testLimitsTogether},
		{"Operate", testOperate},
		{"MergeOperator", testMergeOperator},
		{"Lease", testLease},
		{"LeaseNone", testLeaseNone},
		{"LeaseRenewed", testLeaseRenewed},
		{"LeaseEnumeration", testLeaseEnumeration},
		{"LeaseClient", testLeaseClient},
		{"LeasesAtOnce", testLeasesAtOnce},
		{"LeaseFilter", testLeaseFilter},
		{"LeaseRemove", testLeaseRemove},
		{"LeaseCursor", testLeaseCursor},
		{"LeasePurge", testLeasePurge},
		{"MergeActs", testMergeActs},
		{"MergeLogout", testMergeLogout},
		{"MergeLogoutFirst", testMergeLogoutFirst},
		{"MergeClock", testMergeClock},
		{"MergeConnect", testMergeConnect},
		{"MergeConnectAgain", testMergeConnectAgain},
		{"MergeConnectFirst", testMergeConnectFirst},
		{"MergeConnectOwn", testMergeConnectOwn},
		{"MergeAnyOrder", testMergeAnyOrder},
		{"Purge", testPurge},
		{"Deadline", testDeadline},
		{"CacheVersion", testCacheVersion},
		{"CacheCopy", testCacheCopy},
		{"CacheCopyConsistent", testCacheCopyConsistent},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := &bench{t: t, open: fresh(t)}
			b.Store = b.handle()
			c.test(t, b)
		})
	}
}

// bench is one database with a first handle on it.
type bench struct {
	Store
	t    *testing.T
	open func() Store
	tick atomic.Int64
}

// handle opens another handle, closed at the end of the test at the latest.
func (b *bench) handle() Store {
	b.t.Helper()
	s := b.open()
	b.t.Cleanup(func() { s.Close() }) // closing twice is harmless
	return s
}

func id() string { return uuid.Must(uuid.NewV7()).String() }

func (b *bench) row(kind string) broker.LogRow {
	n := b.tick.Add(1)
	return broker.LogRow{ID: id(), Ref: "1-" + id()[24:], Kind: kind, SiteID: 1, ClientAddr: "192.0.2.7", Duration: time.Duration(n) * time.Millisecond}
}

// setup is a small cluster: two own desktops, a pool of two, one in maintenance.
func setup() broker.Setup {
	return broker.Setup{
		DesktopPools: []broker.DesktopPool{{Name: "own", Kind: broker.KindAssigned}, {Name: "pool", Kind: broker.KindPooled, Check: "none"}},
		Desktops: []broker.Desktop{
			{Name: "own-1", Pool: "own", Host: "10.0.0.1"}, {Name: "own-2", Pool: "own", Host: "10.0.0.2", Port: 2222, Protocol: "ssh"},
			{Name: "pool-1", Pool: "pool", Host: "10.0.1.1"}, {Name: "pool-2", Pool: "pool", Host: "10.0.1.2"},
			{Name: "pool-3", Pool: "pool", Host: "10.0.1.3", State: "maintenance"},
		},
		Policies:    []broker.Policy{{Name: "all", Pools: []string{"pool"}}},
		Assignments: []broker.Assignment{{User: "anna", Desktop: "own-1"}, {User: "bert", Desktop: "own-2"}},
	}.WithDefaults()
}

func (b *bench) fill(s broker.Setup) {
	b.t.Helper()
	v := must(b.SetupVersion(ctx(b.t)))(b.t)
	must(b.ReplaceSetup(ctx(b.t), s, v, b.row(broker.LogSetup)))(b.t)
}

func local(user string) broker.Who { return broker.Who{Directory: broker.LocalDirectory, User: user} }

// record is a login of user with one offer out of the pool.
func (b *bench) record(user string) broker.LoginRecord {
	sid := id()
	n := &broker.NewSession{
		Session:   broker.Session{ID: sid, Who: local(user), SiteID: 1, ClientAddr: "192.0.2.7", ClientName: "tc", Grants: []broker.Grant{{Pool: "pool", MaxOffers: 1}}},
		TokenHash: broker.Token{SiteID: 1, Secret: [32]byte([]byte(sid[:32]))}.Hash(),
		Life:      time.Hour, EmptyCode: broker.CodeNoDesktop,
	}
	log := b.row(broker.LogLogin)
	log.Who, log.Session = local(user), sid
	return broker.LoginRecord{Who: local(user), KeyLife: time.Hour, NewSession: n, Log: log}
}

func (b *bench) login(user string) (broker.Session, []broker.Offer) {
	b.t.Helper()
	out := must(b.Login(ctx(b.t), b.record(user)))(b.t)
	if out.Session == nil {
		b.t.Fatalf("login of %s made no session", user)
	}
	return *out.Session, out.Offers
}

// ctx bounds a call so that a hanging store fails the test by name.
func ctx(t *testing.T) context.Context {
	c, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return c
}

// must returns the value of a call that has to succeed.
func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}
