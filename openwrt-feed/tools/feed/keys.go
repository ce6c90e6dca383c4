package feed

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/meshagent/meshagent/openwrt-feed/tools/adb"
	"github.com/meshagent/meshagent/openwrt-feed/tools/ipk"
)

// keys sign indexes and packages: opkg.key for opkg, apk.pem for apk.
type keys struct {
	opkg *ipk.Key
	apk  *ecdsa.PrivateKey
}

// openKeys reads the keys of a folder. What is missing is drawn and kept
// there: good for trying out; a release brings its own.
func openKeys(dir string) (*keys, error) {
	k := new(keys)
	text, err := keyFile(dir, "opkg.key", func() ([]byte, error) {
		random := make([]byte, 40)
		_, _ = rand.Read(random) // never fails
		return ipk.NewKey(random).EncodeSecret(), nil
	})
	if err != nil {
		return nil, err
	}
	if k.opkg, err = ipk.ParseSecret(text); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(dir, "opkg.key"), err)
	}
	text, err = keyFile(dir, "apk.pem", func() ([]byte, error) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, err
		}
		return adb.EncodePrivateKey(key)
	})
	if err != nil {
		return nil, err
	}
	if k.apk, err = adb.ParsePrivateKey(text); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(dir, "apk.pem"), err)
	}
	return k, nil
}

func keyFile(dir, name string, draw func() ([]byte, error)) ([]byte, error) {
	path := filepath.Join(dir, name)
	text, err := os.ReadFile(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return text, err
	}
	if text, err = draw(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	fmt.Fprintf(os.Stderr, "mkpkg: a new key in %s\n", path)
	return text, os.WriteFile(path, text, 0o600)
}

// publish writes the public keys under the names that they have on a router.
func (k *keys) publish(out string) error {
	public, err := adb.EncodePublicKey(&k.apk.PublicKey)
	if err != nil {
		return err
	}
	if err := writeFile(filepath.Join(out, "apk", "meshagent.pem"), public); err != nil {
		return err
	}
	return writeFile(filepath.Join(out, "opkg", k.opkg.Name()), k.opkg.EncodePublic())
}
