package steer

import "testing"

// wholeGT5 runs what GT5 lists beside the safety rules, so that the requirement stands or falls as one.
func wholeGT5(t *testing.T) {
	t.Run("threshold", TestThreshold)
	t.Run("failback delay", TestFailbackDelay)
	t.Run("manual resume", TestManualResume)
	t.Run("override", TestMemberOverride)
	t.Run("override times", TestOverrideFromUntil)
	t.Run("demotions", TestDemotionLimit)
	t.Run("all down", TestAllDownPolicies)
	t.Run("restart", TestMemory)
}
