"""The table of a sweep as files: CSV always, Parquet where DuckDB is installed (extra ``sweep``)."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emulab.model.record import write_text

if TYPE_CHECKING:
    from emulab.sweep.engine import SweepResult


def columns(rows: list[dict[str, Any]]) -> list[str]:
    """All columns, in order of first appearance."""
    return list(dict.fromkeys(key for row in rows for key in row))


def csv_text(rows: list[dict[str, Any]]) -> str:
    """Rows as CSV; floats as ``repr`` so that nothing is lost."""
    names = columns(rows)
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(names)
    for row in rows:
        writer.writerow(
            ["" if row.get(n) is None else repr(row[n]) if isinstance(row[n], float) else row[n] for n in names]
        )
    return stream.getvalue()


def write_tables(result: SweepResult) -> list[Path]:
    """Write ``table.csv`` and, with DuckDB, ``table.parquet`` into the sweep's folder."""
    files = [write_text(result.folder / "table.csv", csv_text(result.rows))]
    try:
        import duckdb
    except ImportError:
        return files
    target = result.folder / "table.parquet"
    scratch = result.folder / ".table.parquet"
    scratch.unlink(missing_ok=True)
    with duckdb.connect() as connection:
        source = connection.read_csv(str(files[0]), header=True, sample_size=-1)
        source.write_parquet(str(scratch))
    scratch.replace(target)
    return [*files, target]


def query(folder: Path, sql: str) -> list[tuple[Any, ...]]:
    """Run SQL on a sweep's table, which is called ``sweep``. ToolError without DuckDB."""
    from emulab.errors import InputError, ToolError

    try:
        import duckdb
    except ImportError:
        raise ToolError("querying a sweep needs DuckDB; install it with: pip install 'emulab[sweep]'") from None
    file = folder / "table.csv"
    if not file.is_file():
        raise InputError(f"{file}: no such table; run the sweep first")
    with duckdb.connect() as connection:
        connection.read_csv(str(file), header=True, sample_size=-1).create_view("sweep")
        try:
            rows: list[tuple[Any, ...]] = connection.sql(sql).fetchall()
        except duckdb.Error as error:
            raise InputError(f"query: {str(error).splitlines()[0]}") from None
    return rows
