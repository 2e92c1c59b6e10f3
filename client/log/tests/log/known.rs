//! Vectors that others published: the eight leaves that Certificate Transparency's implementations are tested with, and the
//! notes that Go's module mirror and its documentation are signed as.

use daypass_log::{Frontier, Hash, Root, VerifierKey, open, proof};

use crate::sample::{Log, hex};

const LEAVES: [&[u8]; 8] = [
    b"",
    b"\x00",
    b"\x10",
    b"\x20\x21",
    b"\x30\x31",
    b"\x40\x41\x42\x43",
    b"\x50\x51\x52\x53\x54\x55\x56\x57",
    b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
];

/// The roots of the trees of the first 0 to 8 leaves.
const ROOTS: [&str; 9] = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

fn log() -> Log {
    LEAVES.iter().map(|leaf| leaf.to_vec()).collect()
}

#[test]
fn the_tree_is_that_of_certificate_transparency() {
    let mut tree = Frontier::new();
    assert_eq!(hex(&tree.root().hash), ROOTS[0]);
    for (leaf, root) in LEAVES.iter().zip(&ROOTS[1..]) {
        tree.append(leaf);
        assert_eq!(hex(&tree.root().hash), *root, "{} leaves", tree.size());
    }
}

#[test]
fn the_proofs_are_those_of_certificate_transparency() {
    let hashes = |proof: Vec<Hash>| proof.iter().map(hex).collect::<Vec<_>>();
    assert_eq!(
        hashes(proof::inclusion(&log(), 0, 8).unwrap()),
        [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ]
    );
    assert_eq!(
        hashes(proof::consistency(&log(), 6, 8).unwrap()),
        [
            "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ]
    );
    let root = |size: u64| Root { size, ..log().root_at(size) };
    let consistency = proof::consistency(&log(), 6, 8).unwrap();
    assert_eq!(proof::check_consistency(&root(6), &root(8), &consistency), Ok(()));
}

#[test]
fn a_note_that_go_signed_is_read() {
    let key: VerifierKey =
        "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW".parse().unwrap();
    let text = "If you think cryptography is the answer to your problem,\n\
                then you don't know what your problem is.\n";
    let signature = "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
    let note = format!("{text}\n{signature}");
    let keys = [key];
    assert_eq!(open(note.as_bytes(), &keys).unwrap(), (text, vec![&keys[0]]));
    assert!(open(note.replace("answer", "Answer").as_bytes(), &keys).is_err());
}

#[test]
fn the_key_of_gos_checksum_database_has_the_id_that_go_gives_it() {
    let text = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8";
    assert_eq!(text.parse::<VerifierKey>().unwrap().to_string(), text);
}
