package pathfinder

import "github.com/meshagent/meshagent/agent/cjdns"

// Job is a signature of an announcement to make or to check, which takes 5 to
// 30 ms on a small CPU. Run does it; the rest belongs to who made the job.
type Job struct {
	ann  *cjdns.Announcement // to sign; nil: check raw
	raw  []byte              // the announcement; the result, if it is signed here
	from *check              // of the role: what waits for the result

	key cjdns.Key // who made raw, if ok
	ok  bool
}

// Run does the work. It touches nothing but the job, k and rand, so it may run
// on any goroutine while the owner of the job does something else. k is the
// key that signs; jobs that check do not need it.
func (j *Job) Run(k *cjdns.SigningKey, rand func([]byte)) {
	if j.ann != nil {
		if k != nil {
			j.raw, j.ok = j.ann.AppendSigned(nil, k, rand), true
		}
		return
	}
	if len(j.raw) < cjdns.AnnounceHeaderLen {
		return
	}
	// Points of small order sign anything: Identity refuses them.
	v := cjdns.VerifyKey(j.raw[cjdns.SignatureLen:])
	key, err := v.Identity()
	if err != nil || !key.IP().Valid() || !v.Verify(j.raw[cjdns.SignatureLen:], j.raw[:cjdns.SignatureLen]) {
		return
	}
	j.key, j.ok = key, true
}
