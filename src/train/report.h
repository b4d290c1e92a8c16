// report.html of a run: one self-contained page (inline style and SVG, nothing loaded from
// anywhere) made from the files of the run directory. It can be made at any time, also of a run
// that was cut off.
#pragma once

#include <string>

#include "core/status.h"

namespace ponder {

// The page for `run_dir`, from metrics.jsonl (needed) and completions.jsonl, summary.json,
// recipe.toml (each shown if there). Lines that are not JSON objects, such as a last line cut by a
// kill, are skipped and counted at the page's foot. Of what the run wrote, nothing is trusted: all
// text is escaped and shown as text.
Result<std::string> render_report(const std::string& run_dir);

// render_report, written to run_dir/report.html atomically.
Status write_report(const std::string& run_dir);

}  // namespace ponder
