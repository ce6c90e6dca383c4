package po

import (
	"encoding/hex"
	"strings"
	"testing"
)

const catalogue = "msgid \"\"\nmsgstr \"\"\n\"Language: de\\n\"\n\n#: x.js\nmsgid \"Close\"\nmsgstr \"Schließen\"\n\nmsgid \"Ping\"\nmsgstr \"Ping\"\n\nmsgid \"a \\\"b\\\"\"\nmsgstr \"ein \"\n\"\\\"b\\\"\"\n\nmsgid \"No\"\nmsgstr \"Nein\"\n"

// golden is what LuCI's own po2lmo makes of the catalogue.
const golden = "6e706c7572616c733d323b20706c7572616c3d286e20213d2031293b5363686c6965c39f656e000065696e20226222004e65696e0000000000000000000000000000001c26d000c2000000010000001c0000000a332671530000000100000030000000048f042fe500000001000000280000000700000034"

func TestLMO(t *testing.T) {
	list, err := Parse(catalogue)
	if err != nil || len(list) != 4 {
		t.Fatal(err, list)
	}
	if got := hex.EncodeToString(LMO(list)); got != golden {
		t.Errorf("got  %s\nwant %s", got, golden)
	}
}

func TestParseRefuses(t *testing.T) {
	for _, bad := range []string{"msgid \"a", "msgid_plural \"a\"", "msgctxt \"a\"", "\"a\"", "nonsense"} {
		if list, err := Parse(bad); err == nil {
			t.Errorf("%q gives %v", bad, list)
		}
	}
	for n := range len(catalogue) {
		if list, err := Parse(catalogue[:n]); err == nil && len(list) > strings.Count(catalogue[:n], "msgid") {
			t.Errorf("cut off at %d: %v", n, list)
		}
	}
}
