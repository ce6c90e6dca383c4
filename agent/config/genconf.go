package config

import (
	_ "embed"
	"encoding/binary"
	"strconv"
	"strings"

	"github.com/meshagent/meshagent/agent/cjdns"
)

//go:embed reference.uci
var reference string

// GenUCI returns a new configuration as UCI text, with comments: a random port
// on all addresses, beacons, and one random password. There is no key in it;
// the agent makes one at its first start. rand fills a slice with random
// bytes.
func GenUCI(rand func([]byte)) string {
	return strings.NewReplacer("@PORT@", genPort(rand), "@PASSWORD@", genPassword(rand)).Replace(reference)
}

// GenCjdroute returns the same configuration as a cjdroute.conf, which carries
// the key. cjdroute reads it too. pub must belong to key.
func GenCjdroute(rand func([]byte), key cjdns.PrivateKey, pub cjdns.Key) string {
	return strings.NewReplacer(
		"@PORT@", genPort(rand),
		"@PASSWORD@", genPassword(rand),
		"@PRIVATE@", key.Hex(),
		"@PUBLIC@", pub.String(),
		"@IP@", pub.IP().String(),
	).Replace(cjdrouteTemplate)
}

// genPort draws a port that needs no privilege and is not the one of beacons.
func genPort(rand func([]byte)) string {
	for {
		var b [2]byte
		rand(b[:])
		if p := binary.BigEndian.Uint16(b[:]); p > 1024 && p != DefaultBeaconPort {
			return strconv.Itoa(int(p))
		}
	}
}

// genPassword draws 160 bits and returns them as 32 characters.
func genPassword(rand func([]byte)) string {
	var b [20]byte
	rand(b[:])
	return cjdns.EncodeBase32(b[:])
}

const cjdrouteTemplate = `{
    // Whoever has this key is this node. meshagent keeps a copy in its key file.
    "privateKey": "@PRIVATE@",
    "publicKey": "@PUBLIC@",
    "ipv6": "@IP@",

    // Who may dial us; give every neighbour a password of its own. Send this:
    //   "your.address:@PORT@": {
    //       "login": "default-login",
    //       "password": "@PASSWORD@",
    //       "publicKey": "@PUBLIC@",
    //       "peerName": "your name"
    //   }
    "authorizedPasswords": [
        { "password": "@PASSWORD@", "user": "default-login" }
    ],

    "interfaces": {
        "UDPInterface": [
            {
                "bind": "0.0.0.0:@PORT@",

                // 0: no beacons; 1: peer with neighbours that send them; 2: send them too
                "beacon": 2,
                "beaconDevices": [ "all" ],
                "beaconPort": 64512,

                // Whom we dial: IPv4 addresses here, IPv6 below
                "connectTo": {
                }
            },
            {
                "bind": "[::]:@PORT@",
                "connectTo": {
                }
            }
        ]

        // Peers on Ethernet, without IP:
        //, "ETHInterface": [ { "bind": "eth0", "beacon": 2, "connectTo": {} } ]
    },

    "router": {
        // Keys of nodes that are asked for paths; if there is none, our peers are asked
        "supernodes": [
        ],
        "interface": {
            "type": "TUNInterface",
            "tunDevice": "tunmesh0"
        }
    },

    "noBackground": 1,
    "version": 2
}
`
