package community

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/meshagent/meshagent/agent/cjdns"
)

// tokenPrefix begins every token. Upper case and base32: a QR code stores
// them in 5.5 bits a character.
const tokenPrefix = "MESH1:"

// Limits of a token.
const (
	MaxName     = 32  // bytes of a community's name
	MaxAddress  = 64  // bytes of an admin's address
	maxAdmins   = 3   // that are named in one token
	maxTokenLen = 300 // characters; what keeps the QR code on a screen
	sumLen      = 4
)

// Token is an invite as the newcomer gets it: one line of text, or a QR code.
//
//	0   1    version 1
//	1   1    role
//	2   32   public key of the root
//	34  8    invite
//	42  16   secret
//	58  4    not after, seconds since 1970; 0 never ends
//	62  1    uses
//	63  1    n, number of admins, 1 to 3
//	64  32n  their overlay keys
//	    1    length of the name, then the name in UTF-8
//	    1    length of the address, then the address: host:port, may be empty
//	    4    checksum: first bytes of SHA-256 of all of the above
//
// The text is "MESH1:" and that in base32 (RFC 4648, no padding).
type Token struct {
	Role     Role
	Root     cjdns.VerifyKey
	Invite   InviteID
	Secret   [16]byte
	NotAfter uint32
	Uses     uint8
	Admins   []cjdns.Key // that redeem it; the first has made it
	Name     string
	Address  string // of the first admin; host:port, may be empty
}

// Community returns the name of the community that the token leads into.
func (t *Token) Community() ID { return IDOf(t.Root) }

// Password is what the newcomer shows in handshakes with the admins; the
// login is the text of Invite.
func (t *Token) Password() string { return password(t.Invite, t.Secret) }

// String returns the text.
func (t *Token) String() string {
	b := append([]byte{1, byte(t.Role)}, t.Root[:]...)
	b = append(b, t.Invite[:]...)
	b = append(b, t.Secret[:]...)
	b = binary.BigEndian.AppendUint32(b, t.NotAfter)
	b = append(b, t.Uses, byte(len(t.Admins)))
	for _, k := range t.Admins {
		b = append(b, k[:]...)
	}
	b = append(append(b, byte(len(t.Name))), t.Name...)
	b = append(append(b, byte(len(t.Address))), t.Address...)
	sum := sha256.Sum256(b)
	return tokenPrefix + base32Text.EncodeToString(append(b, sum[:sumLen]...))
}

// TokenError says what is wrong with the text of a token or of a root key.
type TokenError struct{ Text string }

func (e *TokenError) Error() string { return e.Text }

func tokenErrorf(format string, args ...any) error { return &TokenError{fmt.Sprintf(format, args...)} }

// ParseToken reads the text of a token; white space, also inside, and lower
// case do no harm. The error is a *TokenError.
func ParseToken(s string) (t Token, err error) {
	b, err := decodeText(s, tokenPrefix, "token", "meshagent invite")
	if err != nil {
		return t, err
	}
	const fixed = 64
	short := func() (Token, error) {
		return Token{}, tokenErrorf("the token is damaged: its checksum fits, but its content does not; ask for a new one")
	}
	if len(b) < fixed || b[0] != 1 {
		return short()
	}
	t.Role = Role(b[1])
	copy(t.Root[:], b[2:])
	copy(t.Invite[:], b[34:])
	copy(t.Secret[:], b[42:])
	t.NotAfter = binary.BigEndian.Uint32(b[58:])
	t.Uses = b[62]
	n, rest := int(b[63]), b[fixed:]
	if n < 1 || n > maxAdmins || len(rest) < n*32 {
		return short()
	}
	for range n {
		k := cjdns.Key(rest[:32])
		if !k.IP().Valid() {
			return Token{}, tokenErrorf("the token names an admin whose key is no node's key; ask for a new one")
		}
		t.Admins, rest = append(t.Admins, k), rest[32:]
	}
	var ok bool
	if t.Name, rest, ok = cutText(rest, MaxName); !ok || CheckName(t.Name) != nil {
		return short()
	}
	if t.Address, rest, ok = cutText(rest, MaxAddress); !ok || len(rest) > 0 || !printable(t.Address) {
		return short()
	}
	if t.Role != RoleMember && t.Role != RoleAdmin {
		return Token{}, tokenErrorf("the token gives a role that this version does not know; update meshagent")
	}
	return t, nil
}

// cutText takes a length and as many bytes of text from b.
func cutText(b []byte, limit int) (s string, rest []byte, ok bool) {
	if len(b) == 0 || int(b[0]) > limit || len(b) < 1+int(b[0]) {
		return "", b, false
	}
	n := int(b[0])
	return string(b[1 : 1+n]), b[1+n:], true
}

// CheckName checks the name of a community: 1 to MaxName bytes, printable,
// no blanks at its ends.
func CheckName(s string) error {
	if s == "" || len(s) > MaxName || !printable(s) || strings.TrimSpace(s) != s {
		return fmt.Errorf("expected a name of 1 to %d bytes, printable and without blanks at its ends", MaxName)
	}
	return nil
}

func printable(s string) bool {
	return utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) < 0
}

// rootPrefix begins the recovery line.
const rootPrefix = "MESHROOT1:"

// FormatRoot writes the secret of a root key as the line that is kept on
// paper, in groups of four:
//
//	MESHROOT1:xxxx-xxxx-…
//
// base32 of the secret (32) and a checksum (4), as in a token.
func FormatRoot(secret cjdns.PrivateKey) string {
	sum := sha256.Sum256(secret[:])
	text := base32Text.EncodeToString(append(secret[:], sum[:sumLen]...))
	var b strings.Builder
	b.WriteString(rootPrefix)
	for i := range len(text) {
		if i > 0 && i%4 == 0 {
			b.WriteByte('-')
		}
		b.WriteByte(text[i])
	}
	return b.String()
}

// ParseRoot reads the recovery line; dashes, blanks and lower case do no
// harm. The error is a *TokenError and does not show the secret.
func ParseRoot(s string) (secret cjdns.PrivateKey, err error) {
	b, err := decodeText(strings.ReplaceAll(s, "-", ""), rootPrefix, "root key", "meshagent community create")
	if err != nil {
		return secret, err
	}
	if len(b) != len(secret) {
		return secret, tokenErrorf("the root key has %d bytes; expected %d", len(b), len(secret))
	}
	copy(secret[:], b)
	return secret, nil
}

// decodeText takes prefix and checksum off a line of text. 0, 1 and 8, which
// base32 does not have, are read as the letters that they resemble.
func decodeText(s, prefix, what, source string) ([]byte, error) {
	s = strings.ToUpper(strings.Join(strings.Fields(s), ""))
	digits, ok := strings.CutPrefix(s, prefix)
	if !ok {
		name, _, colon := strings.Cut(s, ":")
		family := strings.TrimRight(prefix, "0123456789:")
		if version := strings.TrimPrefix(name, family); colon && version != name && version != "" && strings.Trim(version, "0123456789") == "" {
			return nil, tokenErrorf("the %s is of another version (%s), expected %s; update meshagent", what, strings.ToLower(name), strings.ToLower(prefix))
		}
		return nil, tokenErrorf("this is no %s: expected a line that begins with %s, as %s prints it", what, prefix, source)
	}
	digits = strings.NewReplacer("0", "O", "1", "I", "8", "B").Replace(digits)
	if i := strings.IndexFunc(digits, func(r rune) bool { return (r < 'A' || r > 'Z') && (r < '2' || r > '7') }); i >= 0 {
		r, _ := utf8.DecodeRuneInString(digits[i:])
		return nil, tokenErrorf("character %d of the %s, %q, cannot occur in one: it is mistyped", len(prefix)+utf8.RuneCountInString(digits[:i])+1, what, r)
	}
	b, err := base32Text.DecodeString(digits)
	if err != nil || len(b) <= sumLen {
		return nil, tokenErrorf("the %s is cut off: %d characters cannot be all of it", what, len(s))
	}
	body, sum := b[:len(b)-sumLen], b[len(b)-sumLen:]
	// The bits that the last character has left over must be zero.
	if want := sha256.Sum256(body); string(want[:sumLen]) != string(sum) || base32Text.EncodeToString(b) != digits {
		return nil, tokenErrorf("the checksum of the %s does not fit: it is mistyped, or cut off (%d characters)", what, len(s))
	}
	return body, nil
}
