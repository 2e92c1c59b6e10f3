//! Tiles and bundles: names, bytes, which there are at which size, and a tree grown in them.

use std::collections::HashMap;

use daypass_log::{
    Bundle, Edge, Hash, MAX_ENTRY, MAX_SIZE, Missing, Tile, TileError, TilesError, grown, node,
};
use proptest::prelude::*;

use crate::sample::{Log, mth, sizes};

fn tile(level: u8, index: u64, width: u16) -> Tile {
    Tile::new(level, index, width).unwrap()
}

#[test]
fn paths_are_those_of_the_specification() {
    for (place, path) in [
        (tile(0, 0, 256), "tile/0/000"),
        (tile(0, 1_234_067, 256), "tile/0/x001/x234/067"),
        (tile(1, 1000, 17), "tile/1/x001/000.p/17"),
        (tile(6, 0, 1), "tile/6/000.p/1"),
    ] {
        assert_eq!(place.to_string(), path);
        assert_eq!(path.parse::<Tile>(), Ok(place));
    }
    let bundle = Bundle::under(&tile(0, 273, 112)).unwrap();
    assert_eq!(bundle.to_string(), "tile/entries/273.p/112");
    assert_eq!("tile/entries/273.p/112".parse::<Bundle>(), Ok(bundle));
    assert_eq!(Bundle::under(&tile(1, 0, 1)), None);
}

#[test]
fn a_path_has_one_spelling() {
    for bad in [
        "",
        "tile",
        "tile/",
        "tile/0",
        "tile/0/",
        "tile/0/0",
        "tile/0/00",
        "tile/0/0000",
        "tile/0/x000",
        "tile/0/x000/001",
        "tile/0/001/002",
        "tile/0/x001/x002",
        "tile/00/000",
        "tile/7/000",
        "tile/-1/000",
        "tile/+1/000",
        "tile/0/+01",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/01",
        "tile/0/000.p/",
        "tile/0/000.p/1/2",
        "/tile/0/000",
        "tile/0/000/",
        "tile/0/../000",
        "tile/entries/000",
        "tile/0/x999/x999/x999/x999/x999/x999/x999/999",
    ] {
        assert!(matches!(bad.parse::<Tile>(), Err(TileError::Path(_))), "`{bad}`");
        assert!(bad == "tile/entries/000" || bad.parse::<Bundle>().is_err(), "`{bad}`");
    }
}

#[test]
fn no_tile_lies_beyond_the_largest_tree() {
    assert!(Tile::new(0, MAX_SIZE / 256, 255).is_ok());
    assert!(Tile::new(6, 0, 255).is_ok());
    for (level, index, width) in
        [(0, MAX_SIZE / 256 + 1, 1), (6, 1, 1), (7, 0, 1), (255, 0, 1), (0, 0, 0), (0, 0, 257)]
    {
        assert_eq!(Tile::new(level, index, width), Err(TileError::NoSuch { level, index, width }));
    }
}

#[test]
fn a_tree_of_70_000_has_the_tiles_of_the_specification() {
    let tiles: Vec<Tile> = grown(0, 70_000).collect();
    let full = |level| tiles.iter().filter(|tile| tile.level() == level && tile.is_full()).count();
    let partial: Vec<String> = tiles.iter().filter(|tile| !tile.is_full()).map(Tile::to_string).collect();
    assert_eq!((full(0), full(1), full(2)), (273, 1, 0));
    assert_eq!(partial, ["tile/0/273.p/112", "tile/1/001.p/17", "tile/2/000.p/1"]);
    let of_256: Vec<String> = grown(0, 256).map(|tile| tile.to_string()).collect();
    assert_eq!(of_256, ["tile/0/000", "tile/1/000.p/1"]);
    assert_eq!(tile(1, 1, 17).leaves(), 65_536..69_888);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn growing_changes_the_tiles_that_it_says(from in 0_u64..140_000, more in 0_u64..3_000) {
        let to = from + more;
        // By the definition: a tile of the larger tree is new unless the smaller has it just so.
        let all = |size: u64| (0..4_u8).flat_map(move |level| {
            let hashes = size >> (8 * level);
            (0..hashes.div_ceil(256)).map(move |index| tile(level, index, (hashes - index * 256).min(256) as u16))
        });
        let before: std::collections::HashSet<Tile> = all(from).collect();
        let wanted: Vec<Tile> = all(to).filter(|tile| !before.contains(tile)).collect();
        prop_assert_eq!(grown(from, to).collect::<Vec<_>>(), wanted);
    }

    #[test]
    fn an_edge_makes_the_tiles_of_the_definition_and_goes_on_from_them(size in sizes(), part in 0.0..=1.0_f64) {
        let log = Log::of(size);
        let stop = (size as f64 * part) as u64;
        let mut made = HashMap::new();
        let mut edge = Edge::new();
        for index in 0..size {
            if index == stop {
                made.extend(edge.partial().map(|(tile, hashes)| (tile, hashes.to_vec())));
                edge = Edge::restore(stop, &made).unwrap();
            }
            edge.append(log.leaf(index), |tile, hashes| {
                made.insert(tile, hashes.to_vec());
            });
        }
        made.extend(edge.partial().map(|(tile, hashes)| (tile, hashes.to_vec())));
        prop_assert_eq!(edge.root(), log.root());
        for tile in grown(0, size) {
            use daypass_log::TileSource as _;
            prop_assert_eq!(made.get(&tile), Some(&log.tile(tile).unwrap()), "{}", tile);
        }
    }

    #[test]
    fn any_node_is_read_from_tiles(size in sizes(), at in any::<u64>(), height in 0_u32..18) {
        let log = Log::of(size);
        let count = size >> height;
        if count > 0 {
            let at = at % count;
            let leaves: Vec<Hash> = (at << height..(at + 1) << height).map(|index| log.leaf(index)).collect();
            prop_assert_eq!(node(&log, size, height, at), Ok(mth(&leaves)));
        }
        prop_assert_eq!(node(&log, size, height, count), Err(TilesError::NoSuch { height, at: count, size }));
    }

    #[test]
    fn bundles_read_back_as_written(entries in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..=256)) {
        let bytes = Bundle::encode(&entries).unwrap();
        let bundle = Bundle::under(&tile(0, 3, entries.len() as u16)).unwrap();
        prop_assert_eq!(bundle.decode(&bytes).unwrap(), entries.iter().map(Vec::as_slice).collect::<Vec<_>>());
        prop_assert_eq!(bundle.decode(&bytes[..bytes.len() - 1]), Err(TileError::Bytes(bundle.tile().width())));
        let longer = [bytes, vec![0]].concat();
        prop_assert_eq!(bundle.decode(&longer), Err(TileError::Bytes(bundle.tile().width())));
    }
}

#[test]
fn tiles_read_back_as_written() {
    let hashes: Vec<Hash> = (0..17_u8).map(|number| Hash::leaf(&[number])).collect();
    let bytes = Tile::encode(&hashes);
    assert_eq!(bytes.len(), 17 * 32);
    assert_eq!(tile(0, 5, 17).decode(&bytes), Ok(hashes));
    assert_eq!(tile(0, 5, 16).decode(&bytes), Err(TileError::Bytes(16)));
    assert_eq!(tile(0, 5, 17).decode(&bytes[1..]), Err(TileError::Bytes(17)));
}

#[test]
fn an_entry_too_long_for_a_bundle_is_refused() {
    assert_eq!(Bundle::encode([vec![0; MAX_ENTRY]]).unwrap().len(), 2 + MAX_ENTRY);
    assert_eq!(Bundle::encode([vec![0; MAX_ENTRY + 1]]), Err(TileError::Entry(MAX_ENTRY + 1)));
}

#[test]
fn a_missing_or_short_tile_is_named() {
    let mut tiles = HashMap::new();
    let wanted = tile(0, 0, 3);
    assert_eq!(node(&tiles, 3, 0, 2), Err(TilesError::Source(Missing(wanted))));
    assert_eq!(Edge::restore(3, &tiles), Err(TilesError::Source(Missing(wanted))));
    tiles.insert(wanted, vec![Hash::empty(); 2]);
    assert_eq!(node(&tiles, 3, 0, 2), Err(TilesError::Width { tile: wanted, found: 2 }));
    assert!(Edge::restore(MAX_SIZE + 1, &tiles).is_err());
}
