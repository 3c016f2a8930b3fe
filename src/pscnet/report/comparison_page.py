"""The comparison of models as files for people: tables in a Markdown page and a CSV file, and figures.

    python -m pscnet.report.comparison_page results/research/models.json docs/method/results.md

fills the tables of a document that has their markers, and puts the figures beside it.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pscnet.report.comparison import (
    Table,
    ablation_table,
    main_table,
    targets_table,
    worlds_table,
    write_csv,
    write_markdown,
)
from pscnet.report.comparison_figures import write_comparison_figures
from pscnet.sources.atomic import replacing
from pscnet.validation.groups import ABLATION, LITERATURE, OWN, Entry

#: The page of a run: what stands around its tables.
_PAGE = """# Comparison of models: {title}

<!-- table: comparison -->
<!-- end -->

<!-- table: worlds -->
<!-- end -->

<!-- table: ablation -->
<!-- end -->

<!-- table: targets -->
<!-- end -->
"""


def read_comparison(path: str | Path) -> tuple[dict[str, Any], dict[str, Entry]]:
    """The document that :func:`pscnet.validation.compare_run.compare_worlds` wrote, and the entries of its tables."""
    document = json.loads(Path(path).read_text(encoding="utf-8"))
    return document, {name: Entry(**entry) for name, entry in document["entries"].items()}


def tables_of(document: dict[str, Any], entries: dict[str, Entry]) -> list[Table]:
    """The tables that a comparison has something for: of methods, of PSCNet without its parts, or of both."""
    comparison = document["comparison"]
    tables = []
    if compares_methods(entries):
        methods, worlds = main_table(comparison, entries), worlds_table(comparison, entries)
        tables += [methods, worlds, targets_table(document["targets"])]
    if any(entry.group == ABLATION for entry in entries.values()):
        tables.append(ablation_table(comparison, entries))
    return tables


def compares_methods(entries: dict[str, Entry]) -> bool:
    """Whether a comparison has other learnt methods; one of the parts has references and PSCNet alone."""
    return any(entry.group in (OWN, LITERATURE) for entry in entries.values())


def write_comparison_page(comparison: str | Path, page: str | Path, csv: str | Path, figures: str | Path) -> None:
    """Write the page, the numbers and the figures, and print the tables.

    Parameters
    ----------
    comparison : path of the JSON document
    page, csv : paths to write
    figures : folder to write ``comparison.png``, ``hours.png`` and ``reliability.png`` into
    """
    document, entries = read_comparison(comparison)
    with replacing(page) as part:
        part.write_text(_PAGE.format(title=", ".join(document["comparison"]["worlds"])), encoding="utf-8")
    write_markdown(page, tables_of(document, entries))
    write_csv(csv, document["comparison"])
    write_comparison_figures(figures, document["comparison"], entries)


def fill_document(comparison: str | Path, page: str | Path) -> None:
    """Fill the tables of a document that is there, and renew the figures in ``figures/`` beside it.

    The comparison of methods and that of the parts are two files of numbers for one document: each leaves the other's
    tables as they are, and the figures are those of the methods.
    """
    document, entries = read_comparison(comparison)
    write_markdown(page, tables_of(document, entries))
    if compares_methods(entries):
        comparison = document["comparison"]
        whole = {name: row for name, row in comparison["methods"].items() if entries[name].group != ABLATION}
        write_comparison_figures(Path(page).parent / "figures", {**comparison, "methods": whole}, entries)


def main(arguments: Sequence[str] | None = None) -> int:
    """Fill a document from the command line.

    Returns
    -------
    int
        Exit code: 1, and what is wrong in words, when a file is not what was expected.
    """
    parser = argparse.ArgumentParser(
        prog="python -m pscnet.report.comparison_page", description="Fill a document's tables and renew its figures."
    )
    parser.add_argument("comparison", type=Path, help="such as results/research/models.json")
    parser.add_argument("document", type=Path, help="with the markers of the tables, such as docs/method/results.md")
    given = parser.parse_args(arguments)
    try:
        fill_document(given.comparison, given.document)
    except FileNotFoundError as error:
        print(
            f"{error.filename}: expected the numbers of a comparison, found no such file. "
            "`snakemake -s workflow/research.smk --cores 2` writes results/research/models.json, with the target parts "
            "results/research/parts.json; `snakemake compare_models` writes those of one run.",
            file=sys.stderr,
        )
        return 1
    except (ValueError, KeyError) as error:
        print(f"{given.comparison}, {given.document}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
