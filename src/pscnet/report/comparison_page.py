"""The comparison of models as files for people: tables in a Markdown page and a CSV file, and figures.

    python -m pscnet.report.comparison_page results/research/comparison.json docs/method/results.md

fills the tables of a document that has their markers, and puts the figures beside it.
"""

from __future__ import annotations

import json
import sys
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
from pscnet.validation.groups import Entry

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
    """All tables of a comparison."""
    comparison = document["comparison"]
    ours = "pscnet_ensemble" if "pscnet_ensemble" in document["targets"] else "pscnet"
    return [
        main_table(comparison, entries),
        worlds_table(comparison, entries),
        ablation_table(comparison, entries),
        targets_table(document["targets"].get(ours, [])),
    ]


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
    """Fill the tables of a document that is there, and renew the figures in ``figures/`` beside it."""
    document, entries = read_comparison(comparison)
    write_markdown(page, tables_of(document, entries))
    write_comparison_figures(Path(page).parent / "figures", document["comparison"], entries)


if __name__ == "__main__":
    fill_document(*sys.argv[1:3])
