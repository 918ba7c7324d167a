#!/usr/bin/python3
"""Prints the tables of a study as Markdown, as they stand in README.md.

  experiments/reversible/tables.py [NAME ...] < experiments/reversible/study.jsonl
"""

import json
import sys


def text(value):
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def main():
    for line in sys.stdin:
        table = json.loads(line)
        if len(sys.argv) > 1 and table["name"] not in sys.argv[1:]:
            continue
        print(f"{table['title']}: {table['settings']}\n")
        print("| | " + " | ".join(table["columns"]) + " |")
        print("| --- |" + " ---: |" * len(table["columns"]))
        for row in table["rows"]:
            print(f"| {row['label']} | " + " | ".join(map(text, row["values"])) + " |")
        print()


if __name__ == "__main__":
    main()
