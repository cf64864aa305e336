"""The ground floor: schema, ids, codecs, encoder, manifest, store, streaming and stats."""
