"""The same five rows as people's programs write them: every dialect that a manifest may come in."""

import csv
import gzip
import io
import json

import openpyxl
import pyarrow as pa
from pyarrow import parquet

HEADER = ["sku", "title", "image", "prompt", "price"]
FIVE = [
    ["007", "Käse für alle", "https://x.example/1.png", "make an ad, quick; bright | bold", "1.5"],
    ["NA", "Crème brûlée", "https://x.example/2.png", 'say "cheese"', "20"],
    ["1e5", "Größe", "https://x.example/3.png", "two\nlines", "3"],
    ["null", "naïve café", "https://x.example/4.png", "plain", "4"],
    ["x-5", "señor", "https://x.example/5.png", "-5 and =A1", "5"],
]


def as_csv(delimiter=",", newline="\n"):
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, lineterminator=newline).writerows([HEADER, *FIVE])
    return out.getvalue()


def as_jsonl():
    return "".join(json.dumps(dict(zip(HEADER, row, strict=True)), ensure_ascii=False) + "\n" for row in FIVE)


def write_xlsx(path):
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.append(HEADER)
    for row in FIVE:
        sheet.append(row)
        sheet.cell(sheet.max_row, 4).data_type = "s"
        cell = sheet.cell(sheet.max_row, 5)
        cell.value = float(row[4])
    sheet["A2"].value, sheet["A2"].number_format = 7, "000"
    book.create_sheet("notes")
    book.save(path)


def write_parquet(path):
    columns = dict(zip(HEADER, map(list, zip(*FIVE, strict=True)), strict=True))
    columns["price"] = [float(price) for price in columns["price"]]
    parquet.write_table(pa.table(columns), path)


DIALECTS = {
    "m.csv": lambda: as_csv().encode(),
    "bom.csv": lambda: b"\xef\xbb\xbf" + as_csv(newline="\r\n").encode(),
    "semicolon.csv": lambda: as_csv(";").encode("cp1252"),
    "pipe.csv": lambda: as_csv("|").encode(),
    "tab.txt": lambda: as_csv("\t").encode("utf-16"),
    "utf16be.tsv": lambda: as_csv("\t", "\r\n").encode("utf-16-be"),
    "m.tsv": lambda: as_csv("\t").encode(),
    "sep.csv": lambda: b"sep=;\r\n" + as_csv(";", "\r\n").encode(),
    "m.csv.gz": lambda: gzip.compress(as_csv().encode()),
    "m.jsonl": lambda: as_jsonl().encode(),
    "bom.ndjson": lambda: b"\xef\xbb\xbf" + as_jsonl().encode(),
    "m.jsonl.gz": lambda: gzip.compress(as_jsonl().encode()),
    "m.xlsx": write_xlsx,
    "m.parquet": write_parquet,
}


def make_dialect(folder, name):
    path = folder / name
    dialect = DIALECTS[name]
    if dialect in (write_xlsx, write_parquet):
        dialect(path)
    else:
        path.write_bytes(dialect())
    return path
