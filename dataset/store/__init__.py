"""The store on disk: manifest, tables, window shards and where they lie."""
