// Checks what Daypass says of its log with the Go project's own packages for transparency logs: notes, inclusion and
// consistency proofs, tiles. Reads what to check as JSON from standard input; for each check it prints why it does not
// hold, or nothing, as a JSON list of strings.
package main

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// What is to be checked: the fields that the kind has.
type check struct {
	Kind    string
	Key     string
	Note    string
	Earlier string
	Index   int64
	Entry   []byte
	Proof   [][]byte
	Tiles   map[string][]byte
	Entries [][]byte
}

func main() {
	var checks []check
	if err := json.NewDecoder(os.Stdin).Decode(&checks); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	said := make([]string, len(checks))
	for i, c := range checks {
		if err := c.run(); err != nil {
			said[i] = err.Error()
		}
	}
	if err := json.NewEncoder(os.Stdout).Encode(said); err != nil {
		os.Exit(2)
	}
}

func (c check) run() error {
	tree, err := open(c.Key, c.Note)
	if err != nil {
		return err
	}
	switch c.Kind {
	case "note":
		return nil
	case "inclusion":
		proof, err := hashes(c.Proof)
		if err != nil {
			return err
		}
		return tlog.CheckRecord(proof, tree.N, tree.Hash, c.Index, tlog.RecordHash(c.Entry))
	case "consistency":
		earlier, err := open(c.Key, c.Earlier)
		if err != nil {
			return err
		}
		proof, err := hashes(c.Proof)
		if err != nil {
			return err
		}
		return tlog.CheckTree(proof, tree.N, tree.Hash, earlier.N, earlier.Hash)
	case "tiles":
		return c.tiles(tree)
	}
	return errors.New("no such check")
}

// open reads the note of a checkpoint that the key signed.
func open(key, text string) (tlog.Tree, error) {
	verifier, err := note.NewVerifier(key)
	if err != nil {
		return tlog.Tree{}, err
	}
	opened, err := note.Open([]byte(text), note.VerifierList(verifier))
	if err != nil {
		return tlog.Tree{}, err
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) < 4 || lines[0] != verifier.Name() {
		return tlog.Tree{}, errors.New("not a checkpoint of the key's log")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return tlog.Tree{}, err
	}
	root, err := base64.StdEncoding.DecodeString(lines[2])
	if err != nil || len(root) != tlog.HashSize {
		return tlog.Tree{}, errors.New("no root")
	}
	tree := tlog.Tree{N: size}
	copy(tree.Hash[:], root)
	return tree, nil
}

func hashes(list [][]byte) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(list))
	for i, bytes := range list {
		if len(bytes) != tlog.HashSize {
			return nil, errors.New("a hash of another length")
		}
		copy(out[i][:], bytes)
	}
	return out, nil
}

// tiles holds every entry against the tiles, and the tiles against the tree's hash.
func (c check) tiles(tree tlog.Tree) error {
	if int64(len(c.Entries)) != tree.N {
		return errors.New("not as many entries as the checkpoint says")
	}
	reader := tlog.TileHashReader(tree, source(c.Tiles))
	indexes := make([]int64, len(c.Entries))
	for i := range indexes {
		indexes[i] = tlog.StoredHashIndex(0, int64(i))
	}
	found, err := reader.ReadHashes(indexes)
	if err != nil {
		return err
	}
	for i, entry := range c.Entries {
		if tlog.RecordHash(entry) != found[i] {
			return fmt.Errorf("entry %d is not the one in the tiles", i)
		}
	}
	return nil
}

// Tiles by their path as C2SP tlog-tiles writes it, without the height that the Go packages put into theirs.
type source map[string][]byte

func (s source) Height() int { return 8 }

func (s source) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	out := make([][]byte, len(tiles))
	for i, tile := range tiles {
		path := strings.Replace(tile.Path(), "tile/8/", "tile/", 1)
		data, ok := s[path]
		if !ok {
			return nil, fmt.Errorf("there is no %s", path)
		}
		out[i] = data
	}
	return out, nil
}

func (s source) SaveTiles([]tlog.Tile, [][]byte) {}
