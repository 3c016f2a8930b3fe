"""Raw files of the run and the calendar of SMAP (rule report_inputs)."""

from pscnet.logs import log_to
from pscnet.report.coverage import write_inputs

with log_to(snakemake.log[0]):
    write_inputs(
        smap=snakemake.input.smap,
        static=snakemake.input.static,
        manifests=snakemake.input.manifests,
        output=snakemake.output.inputs,
    )
