package admin

import (
	"context"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/community"
)

// CommunityBackend is the part of a Backend that is about the community. The
// secret of the root never comes here: what the root has to sign is drafted,
// signed by the program at the operator's hands, and applied.
type CommunityBackend interface {
	// Community returns a copy of everything that is known of the community.
	Community(ctx context.Context) (community.Status, error)
	// Invites returns the book of invites.
	Invites(ctx context.Context) ([]community.InviteStatus, error)
	// CommunityDraft returns the bytes that the root has to sign.
	CommunityDraft(ctx context.Context, o DraftOptions) ([]byte, error)
	// CommunityFound begins a community, or enters one, as its admin.
	CommunityFound(ctx context.Context, name string, root cjdns.VerifyKey, cert []byte) error
	// CommunityApply takes what the root has signed.
	CommunityApply(ctx context.Context, object []byte) error
	// CommunityRevoke revokes a member or an invite, or lifts that. It returns
	// what it was.
	CommunityRevoke(ctx context.Context, selector string, reason community.Reason, lift bool) (string, error)
	// CommunityLeave forgets the community.
	CommunityLeave(ctx context.Context) error
	// Invite makes an invite.
	Invite(ctx context.Context, o community.InviteOptions) (InviteResult, error)
	// Join begins to use a token; JoinProgress tells how it goes.
	Join(ctx context.Context, token string) error
	// JoinProgress returns the steps behind number after, as soon as there are
	// some or the attempt has ended.
	JoinProgress(ctx context.Context, after int) (JoinProgress, error)
}

// Kinds of drafts.
const (
	DraftFound  = "found"  // an admin's certificate for this node, of a root that it need not know
	DraftAdmin  = "admin"  // an admin's certificate for a member
	DraftRevoke = "revoke" // a page of the root's list
)

// DraftOptions say what the root is to sign.
type DraftOptions struct {
	Kind   string
	Root   cjdns.VerifyKey // of DraftFound
	Key    cjdns.Key       // of the others
	Reason community.Reason
	All    bool // void what the admin has signed before, too
	Lift   bool
}

// InviteResult is the answer of invite.
type InviteResult struct {
	Invite    string `json:"invite"`
	Token     string `json:"token,omitempty"` // empty for a stock node
	Login     string `json:"login"`
	Password  string `json:"password"`
	PublicKey string `json:"publicKey"` // of this node
	Address   string `json:"address,omitempty"`
	NotAfter  int64  `json:"notAfter,omitempty"` // seconds since 1970
}

// JoinStep is one thing that happened on the way into a community.
type JoinStep struct {
	AtMs int64  `json:"atMs"` // since the beginning
	Text string `json:"text"`
}

// JoinProgress is the answer of join.progress.
type JoinProgress struct {
	Steps     []JoinStep `json:"steps"`
	Done      bool       `json:"done"`
	Error     string     `json:"error,omitempty"` // why it failed
	Community string     `json:"community,omitempty"`
	// Peer is the admin that is to be dialled from now on, if the agent may
	// not write its configuration: somebody who may should add it.
	Peer *JoinPeer `json:"peer,omitempty"`
}

// JoinPeer is a peer as peer.add takes it.
type JoinPeer struct {
	Address   string `json:"address"`
	PublicKey string `json:"publicKey"`
	Name      string `json:"name"`
}
