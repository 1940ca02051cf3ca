from __future__ import annotations

import pyarrow as pa

from unlearn.tables import parquet


def test_metadata_may_hold_the_ids_of_millions(tmp_path):
    path, ids = tmp_path / "x.parquet", b"7" * 76_000_000  # Arrow keeps a copy in base64, and that is above its limit
    parquet.write(path, pa.table({"id": [7]}).replace_schema_metadata({"ids": ids}))
    assert parquet.metadata(path)[b"ids"] == ids
    found = parquet.read(path)
    assert found.schema.metadata[b"ids"] == ids
    assert found.column("id").to_pylist() == [7]
