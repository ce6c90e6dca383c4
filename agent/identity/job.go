package identity

import "github.com/meshagent/meshagent/agent/cjdns"

// Contexts begin everything that is signed here, so that no signature can be
// taken for another kind: the same key also signs cjdns announcements.
const (
	contextRecord    = "meshagent-rec-v1"
	contextChallenge = "meshagent-chl-v1"
	contextRoam      = "meshagent-roa-v1"
)

// Job is a signature to make or to check, which takes 5 to 30 ms on a small
// CPU. Run does it; the rest belongs to who made the job.
type Job struct {
	msg    []byte // context and content
	sig    []byte // to check
	signer cjdns.VerifyKey
	sign   bool

	// Results of Run.
	ok  bool // checked, and signer is a fit key; or signed
	key cjdns.Key
	ip  cjdns.IP
	out [cjdns.SignatureLen]byte
}

// Run does the work. It touches nothing but the job, k and rand, so it may run
// on any goroutine while the owner of the job does something else. k is the
// key that signs; jobs that check do not need it.
func (j *Job) Run(k *cjdns.SigningKey, rand func([]byte)) {
	if j.sign {
		if k != nil && k.Public() == j.signer {
			j.out, j.ok = k.Sign(rand, j.msg), true
		}
		return
	}
	key, err := j.signer.Identity()
	if err != nil {
		return
	}
	j.key, j.ip = key, key.IP()
	j.ok = j.ip.Valid() && j.signer.Verify(j.msg, j.sig)
}
