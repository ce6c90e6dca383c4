package admin

import (
	"context"
	"encoding/hex"
	"errors"
	"slices"
	"strings"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/community"
	"github.com/meshagent/meshagent/agent/config"
)

// InviteList is the answer of invite.list.
type InviteList struct {
	Invites []community.InviteStatus `json:"invites"`
	Total   int                      `json:"total"`
}

// Revoked is the answer of community.revoke.
type Revoked struct {
	What   string `json:"what"` // "member fc…" or "invite …"
	Lifted bool   `json:"lifted"`
}

// Draft is the answer of community.draft.
type Draft struct {
	Draft string `json:"draft"` // hexadecimal
}

// maxInviteLife bounds --expires: ten years, in seconds.
const maxInviteLife = 10 * 365 * 86400

func addCommunityMethods(r *Registry, b Backend) {
	object := Arg{Name: "object", Type: String, Required: true, Max: 2 * community.MaxObject, Help: "what the root has signed, hexadecimal"}
	r.Add(Method{Name: "community", Summary: "the community, its admins and members, and what is revoked", ReadOnly: true, Args: []Arg{offsetArg, limitArg},
		Handle: func(ctx context.Context, a Args) (any, error) {
			s, err := b.Community(ctx)
			s.Members = part(s.Members, a)
			return s, err
		}}) // of the members, which may be too many for one answer
	r.Add(Method{Name: "community.draft", Summary: "what the root of a community has to sign", ReadOnly: true,
		Args: []Arg{
			{Name: "kind", Type: String, Required: true, Max: 16, Help: "found, admin or revoke"},
			{Name: "root", Type: String, Max: 64, Help: "for found: public key of the root, 64 hexadecimal digits"},
			{Name: "key", Type: String, Max: 64, Help: "for the others: public key of the node"},
			{Name: "reason", Type: String, Max: 32, Help: "for revoke: " + strings.Join(community.ReasonWords, ", ")},
			{Name: "all", Type: Bool, Help: "for revoke: void what the admin has signed before, too"},
			{Name: "lift", Type: Bool, Help: "for revoke: take a revocation back"},
		},
		Handle: func(ctx context.Context, a Args) (any, error) {
			o, err := draftOptions(a)
			if err != nil {
				return nil, err
			}
			draft, err := b.CommunityDraft(ctx, o)
			return Draft{hex.EncodeToString(draft)}, err
		}})
	r.Add(Method{Name: "community.found", Summary: "begin a community, or enter one as its admin",
		Args: []Arg{
			{Name: "name", Type: String, Required: true, Max: community.MaxName, Help: "what people call it"},
			{Name: "root", Type: String, Required: true, Max: 64, Help: "public key of the root, 64 hexadecimal digits"},
			object,
		},
		Handle: func(ctx context.Context, a Args) (any, error) {
			root, err := rootArg(a)
			if err != nil {
				return nil, err
			}
			cert, err := hexArg(a, "object")
			if err != nil {
				return nil, err
			}
			return struct{}{}, b.CommunityFound(ctx, a.String("name"), root, cert)
		}})
	r.Add(Method{Name: "community.apply", Summary: "take what the root of the community has signed", Args: []Arg{object},
		Handle: func(ctx context.Context, a Args) (any, error) {
			raw, err := hexArg(a, "object")
			if err != nil {
				return nil, err
			}
			return struct{}{}, b.CommunityApply(ctx, raw)
		}})
	r.Add(Method{Name: "community.revoke", Summary: "revoke a member or an invite, or take that back",
		Args: []Arg{
			{Name: "selector", Type: String, Required: true, Max: 128, Help: "public key or overlay address of a member, or an invite"},
			{Name: "reason", Type: String, Max: 32, Help: strings.Join(community.ReasonWords, ", ")},
			{Name: "lift", Type: Bool, Help: "take it back"},
		},
		Handle: func(ctx context.Context, a Args) (any, error) {
			reason, err := reasonArg(a)
			if err != nil {
				return nil, err
			}
			what, err := b.CommunityRevoke(ctx, a.String("selector"), reason, a.Bool("lift"))
			return Revoked{what, a.Bool("lift")}, err
		}})
	r.Add(Method{Name: "community.leave", Summary: "forget the community",
		Handle: func(ctx context.Context, _ Args) (any, error) { return struct{}{}, b.CommunityLeave(ctx) }})
	r.Add(Method{Name: "invite", Summary: "make an invite into the community, or a password for a stock node",
		Args: []Arg{
			{Name: "role", Type: String, Max: 16, Help: "member or admin"},
			{Name: "uses", Type: Int, Default: int64(1), Min: 1, Max: community.MaxUses, Help: "how many nodes may use it"},
			{Name: "life_s", Type: Int, Default: int64(7 * 86400), Max: maxInviteLife, Help: "seconds until it ends; 0 for never"},
			{Name: "address", Type: String, Max: community.MaxAddress, Help: "host:port at which this node can be dialled from outside"},
			{Name: "stock", Type: Bool, Help: "a login and password for one node that is no agent"},
			{Name: "note", Type: String, Max: 64, Help: "what people call a stock node"},
		},
		Handle: func(ctx context.Context, a Args) (any, error) {
			o := community.InviteOptions{
				Role: community.RoleMember, Uses: uint8(a.Int("uses")), Life: a.Int("life_s"), //nolint:gosec // checked against Max
				Address: a.String("address"), Stock: a.Bool("stock"), Note: a.String("note"),
			}
			if o.Address != "" {
				if e, err := config.ParseEndpoint(o.Address); err != nil || e.IsMAC() {
					return nil, Errorf(CodeBadArgument, "invite: argument 'address': expected the host:port at which this node is dialled from outside, not in fc00::/8, found '%s'", clip(o.Address))
				}
			}
			switch role := a.String("role"); role {
			case "", "member":
			case "admin":
				o.Role = community.RoleAdmin
			default:
				return nil, Errorf(CodeBadArgument, "invite: argument 'role': expected member or admin, found '%s'", clip(role))
			}
			return b.Invite(ctx, o)
		}})
	r.Add(Method{Name: "invite.list", Summary: "the invites of this node, and as an admin those of the others", ReadOnly: true, Args: []Arg{offsetArg, limitArg},
		Handle: func(ctx context.Context, a Args) (any, error) {
			list, err := b.Invites(ctx)
			return InviteList{part(list, a), len(list)}, err
		}})
	r.Add(Method{Name: "join", Summary: "begin to use an invite",
		Args: []Arg{{Name: "token", Type: String, Required: true, Max: 1024, Help: "the line that meshagent invite printed"}},
		Handle: func(ctx context.Context, a Args) (any, error) {
			return struct{}{}, communityError(b.Join(ctx, a.String("token")))
		}})
	r.Add(Method{Name: "join.progress", Summary: "how joining goes; waits for news", ReadOnly: true,
		Args:   []Arg{{Name: "after", Type: Int, Max: 1 << 20, Help: "how many steps are known already"}},
		Handle: func(ctx context.Context, a Args) (any, error) { return b.JoinProgress(ctx, int(a.Int("after"))) }})
}

func draftOptions(a Args) (o DraftOptions, err error) {
	o = DraftOptions{Kind: a.String("kind"), All: a.Bool("all"), Lift: a.Bool("lift")}
	switch o.Kind {
	case DraftFound:
		o.Root, err = rootArg(a)
		return o, err
	case DraftAdmin, DraftRevoke:
	default:
		return o, Errorf(CodeBadArgument, "community.draft: argument 'kind': expected found, admin or revoke, found '%s'", clip(o.Kind))
	}
	if o.Key, err = cjdns.ParseKey(a.String("key")); err != nil {
		return o, Errorf(CodeBadArgument, "community.draft: argument 'key': %s, found '%s'", err, clip(a.String("key")))
	}
	o.Reason, err = reasonArg(a)
	return o, err
}

func rootArg(a Args) (k cjdns.VerifyKey, err error) {
	raw, err := hexArg(a, "root")
	if err == nil && len(raw) != len(k) {
		err = Errorf(CodeBadArgument, "argument 'root': expected %d hexadecimal digits", 2*len(k))
	}
	copy(k[:], raw)
	return k, err
}

func hexArg(a Args, name string) ([]byte, error) {
	raw, err := hex.DecodeString(a.String(name))
	if err != nil || len(raw) == 0 {
		return nil, Errorf(CodeBadArgument, "argument '%s': expected hexadecimal digits", name)
	}
	return raw, nil
}

func reasonArg(a Args) (community.Reason, error) {
	word := a.String("reason")
	if word == "" {
		return community.ReasonNone, nil
	}
	i := slices.Index(community.ReasonWords, word)
	if i < 0 {
		return 0, Errorf(CodeBadArgument, "argument 'reason': expected one of %s, found '%s'", strings.Join(community.ReasonWords, ", "), clip(word))
	}
	return community.Reason(i), nil //nolint:gosec // few words
}

// communityError gives the errors of the community their codes.
func communityError(err error) error {
	var token *community.TokenError
	if errors.As(err, &token) {
		return &Error{CodeBadArgument, err.Error()}
	}
	return err
}
